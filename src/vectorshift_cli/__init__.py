"""The command line: `vectorshift-orchestration`, which does what operators and assets do, through the same specs.

    __main__.py    how it is started; what is missing is named with its extra
    app.py         the commands, and what an error becomes: a sentence and an exit code
    options.py     options that several commands share, by type
    documents.py   what a spec file and options state together
    places.py      the account, the window and the landing that they mean
    screen.py      tables, JSON and CSV on stdout; words and progress on stderr
    shown.py       the Airflow operator or Dagster asset that does the same, as code
    querying.py exporting.py measuring.py checking.py reporting.py examining.py emulating.py   one command each

Importing this package imports nothing else: typer and rich load with `__main__`.
"""
