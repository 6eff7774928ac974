// What pages that move have in common: elements that stay where they are, and change only what has changed.

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function put(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (node[name] !== value) node[name] = value;
  }
}

// Children of `parent` for these items: each keeps its element, so that nothing flickers or loses its place.
export function keep(parent, items, key, make, update) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const name = String(key(item));
    let child = before.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    before.delete(name);
    update(child, item);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  before.forEach((child) => child.remove());
}

// Rows of a table. A cell is [text, classes, small print, classes of the small print]; the first heads its row.
export function rows(id, items, key, cells) {
  const make = (item) =>
    element("tr", {}, ...cells(item).map((_, place) =>
      element(place ? "td" : "th", place ? {} : { scope: "row" }, element("span"), element("small"))));
  keep(document.getElementById(id), items, key, make, (row, item) => {
    cells(item).forEach(([text, classes = "", more = "", moreClasses = ""], place) => {
      const [main, small] = row.children[place].children;
      put(row.children[place], { className: classes });
      put(main, { textContent: text });
      put(small, { textContent: more, className: moreClasses, hidden: !more });
    });
  });
}

export const time = (text) => new Date(text).toLocaleTimeString("en-GB");
