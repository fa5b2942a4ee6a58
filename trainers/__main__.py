"""`millrace dispatcher`; the work is in `dispatcher`."""

from __future__ import annotations

import click

from deploy.edge.process.command import restartable, run


@click.command()
@restartable
def main() -> None:
    """Turn retrain requests into jobs; publish what they prove.

    A job runs in a process of its own and never needs this one. Only one dispatcher runs on a state folder.
    """
    from trainers import dispatcher

    dispatcher.main()


if __name__ == "__main__":
    run(main, "millrace dispatcher")
