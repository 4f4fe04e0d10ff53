"""The command `penstock`: what is said about errors, and the list of its subcommands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from penstock.cli.checkpoints import checkpoint, describe, list_
from penstock.cli.estimate import estimate
from penstock.cli.history import diff, history
from penstock.cli.inspect import inspect
from penstock.cli.jobs import replay, restore, start, stop
from penstock.cli.orphans import orphans
from penstock.cli.rebuild import adopt, rebuild
from penstock.cli.rollback import rollback
from penstock.cli.status import status
from penstock.cli.verify import verify
from penstock.errors import PenstockError

_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


class OneSentence(click.Group):
    """Every error is one sentence on stderr: exit code 2 for wrong usage, 1 for everything else."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:  # noqa: ANN401 - click's own signature
        """Run, and end the process."""
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
        except click.UsageError as error:
            help_ = f" ({error.ctx.command_path} --help says more)" if error.ctx else ""
            _fail(error.format_message() + help_, _USAGE)
        except click.ClickException as error:
            _fail(error.format_message(), _FAILED)
        except PenstockError as error:
            _fail(str(error), _FAILED)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _fail(f"{where}{error.strerror or error}", _FAILED)
        except click.exceptions.Exit as end:
            code = end.exit_code
        except click.Abort:
            _fail("interrupted", _INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"penstock: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=OneSentence, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def penstock(context: click.Context) -> None:
    """Stream jobs and their checkpoints, with your own rights; Flink's checkpoints, and the stores that they lie in."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


penstock.add_command(adopt)
penstock.add_command(checkpoint)
penstock.add_command(describe)
penstock.add_command(diff)
penstock.add_command(estimate)
penstock.add_command(history)
penstock.add_command(inspect)
penstock.add_command(list_)
penstock.add_command(orphans)
penstock.add_command(rebuild)
penstock.add_command(replay)
penstock.add_command(restore)
penstock.add_command(rollback)
penstock.add_command(start)
penstock.add_command(status)
penstock.add_command(stop)
penstock.add_command(verify)


def main() -> NoReturn:
    """Entry point of `penstock`, and of `kubectl-penstock`, which kubectl runs for `kubectl penstock`."""
    plugin = Path(sys.argv[0]).name.startswith("kubectl-")
    penstock.main(prog_name="kubectl penstock" if plugin else "penstock")
