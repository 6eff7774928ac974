"""Drain every event of a query, page after page

Events per second at each client's defaults (ours: `iter_events`; the official client: a loop over `offset`, since it has no walk), beside
aiohttp with msgspec in pages of 500, which checks nothing. Then a page that takes the service 50 ms and the caller 50 ms: what the walk
takes over the longer of the two. Then growth: what draining 200,000 events takes more of memory than draining 10,000, and how the cost of
2,000, 20,000 and 200,000 grows.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator

from canned import canned
from side_by_side import (
    OURS,
    Claim,
    arguments,
    in_turn,
    official_python,
    print_figures,
    resident,
    slope,
    tell,
)

EVENT = (
    '{"span_id":"%032x","trace_id":"%032x","parent_span_id":"","span_kind":"pipeline.run",'
    '"span_start_time":"2026-01-01T10:%02d:%02d.123Z","span_end_time":"2026-01-01T11:00:00.456Z","status":"SUCCESS",'
    '"object_id":"pl_1","latency":1532.5,"interface_type":"api","interface_name":"nightly","source":"pipeline",'
    '"caller":"usr_1","object_info":{"name":"Nightly","tags":["a","b"]},'
    '"span_attributes":{"tokens":1234,"model_costs":0.0123}}'
)
NUMBER = {name: re.compile(rb'"%b":\s*(\d+)' % name) for name in (b"results_per_page", b"offset")}
LATENCY = WORK = 0.05
SLOW_PAGES = 40


def service(total: int) -> Callable[[str, bytes], bytes]:
    """Pages out of `total` events."""

    def answer(target: str, body: bytes) -> bytes:
        size, offset = (
            int(found[1]) if (found := NUMBER[name].search(body)) else 0 for name in NUMBER
        )
        numbers = range(offset, min(offset + size, total))
        events = ",".join([EVENT % (n, n // 4, n // 60 % 60, n % 60) for n in numbers])
        meta = f'{{"results_per_page":{size},"offset":{offset},"total_records":{total}}}'
        return f'{{"status":"success","events":[{events}],"pagination_meta":{meta}}}'.encode()

    return answer


def ours(origin: str, bundle: str, total: int) -> Iterator[object]:
    from vectorshift import Client

    with Client("sk_1", f"{origin}/v1", verify=bundle or True) as client:
        yield from client.query().iter_events()


def official(origin: str, bundle: str, total: int) -> Iterator[object]:
    import os

    os.environ["VECTORSHIFT_BASE_URL"] = f"{origin}/v1"
    import vectorshift
    from vectorshift.analytics import Analytics

    vectorshift.api_key = "sk_1"
    offset = 0
    while page := Analytics.query().events(offset=offset)["events"]:
        yield from page
        offset += len(page)
        if offset >= total:
            return


def limit(origin: str, bundle: str, total: int) -> Iterator[object]:
    import ssl

    import aiohttp
    import msgspec

    async def drain() -> list[object]:
        context = ssl.create_default_context(cafile=bundle) if bundle else True
        connector = aiohttp.TCPConnector(ssl=context)
        count = 0
        async with aiohttp.ClientSession(connector=connector) as session:
            for offset in range(0, total, 500):
                page = {"pagination_config": {"results_per_page": 500, "offset": offset}}
                url = f"{origin}/v1/analytics/events/search"
                async with session.post(url, data=json.dumps(page).encode()) as reply:
                    count += len(msgspec.json.decode(await reply.read())["events"])
        return [None] * count

    yield from asyncio.run(drain())


WAYS = {"ours": ours, "official": official, "limit": limit}
PYTHONS = {"ours": OURS, "limit": OURS}


def drain(way: str, origin: str, bundle: str, total: int, work: float) -> None:
    """One way, in this process; `work` is seconds that the caller takes for 500 events."""
    for _ in zip(WAYS[way](origin, bundle, 500), range(500), strict=False):
        pass  # modules load, connections open
    seen, began, cpu = 0, time.perf_counter(), time.process_time()
    for seen, _ in enumerate(WAYS[way](origin, bundle, total), 1):
        if work and seen % 500 == 0:
            time.sleep(work)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert seen == total, f"{way} brought {seen} of {total} events"
    print_figures(seconds=seconds, cpu=cpu, rate=seen / seconds, peak=resident("VmHWM"))


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        origin, total, work, *bundle = options.rest
        drain(options.way, origin, (bundle or [""])[0], int(total), float(work))
        return
    total, rounds = (5_000, 2) if options.quick else (20_000, 3)
    both = PYTHONS | {"official": official_python()}
    for scheme, target, before in (("HTTP", ">= 3", "1.4"), ("HTTPS", ">= 7", "3.9")):
        with canned(service(total), tls=scheme == "HTTPS") as served:
            bundle = [served.bundle] if served.bundle else []
            found = in_turn(
                __file__, both, rounds, served.origin, total, 0, *bundle, environment=served.trust
            )
        rate = {way: each["rate"] for way, each in found.items()}
        tell(
            Claim(
                f"drain events at defaults, {scheme}",
                rate["ours"] / rate["official"],
                "x official",
                target,
                before,
                ", ".join(f"{way} {each:,.0f}/s" for way, each in rate.items()),
            )
        )
    pages = 6 if options.quick else SLOW_PAGES
    with canned(service(pages * 500), delay=LATENCY) as served:
        found = in_turn(__file__, {"ours": OURS}, rounds, served.origin, pages * 500, WORK)
    longer = pages * max(LATENCY, WORK)
    wall = found["ours"]["seconds"]
    tell(
        Claim(
            "50 ms a page and 50 ms of work a page: wall",
            wall / longer,
            "x the longer of the two",
            "<= 1.1",
            "1.29",
            f"{wall:.2f} s for {pages} pages, {longer:.2f} s is the least",
        )
    )
    few, many = (2_000, 20_000) if options.quick else (10_000, 200_000)
    sizes = [many // 100, many // 10, many]
    grown = {}
    for count in {few, *sizes}:
        with canned(service(count)) as served:
            [grown[count]] = in_turn(__file__, {"ours": OURS}, 3, served.origin, count, 0).values()
    peaks = [grown[count]["peak"] for count in (few, many)]
    tell(
        Claim(
            f"drain {many:,} events instead of {few:,}: peak of memory",
            peaks[1] - peaks[0],
            "MiB more",
            "<= 5",
            "26",
            f"{peaks[0]:.0f} and {peaks[1]:.0f} MiB",
        )
    )
    costs = [grown[count]["cpu"] for count in sizes]
    told = ", ".join(f"{count:,}: {each:.3g} s" for count, each in zip(sizes, costs, strict=True))
    what = f"drain: growth of its CPU from {sizes[0]:,} to {many:,} events"
    tell(Claim(what, slope([*map(float, sizes)], costs), "as a slope", "<= 1.1", "", told))


if __name__ == "__main__":
    main()
