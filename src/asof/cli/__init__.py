"""The `asof` command. Nothing heavy is imported before a command runs: `asof --help` answers at once."""

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process, and exit."""
    from asof.cli.app import app

    app(prog_name="asof")
