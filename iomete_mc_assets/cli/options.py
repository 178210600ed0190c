"""Options that several commands share."""

from pathlib import Path

import click

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder of the demo's lakehouse, gateway, manifests and Dagster instance.",
)
