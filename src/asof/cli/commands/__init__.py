"""One module for each subcommand; each is loaded when it is asked for."""
