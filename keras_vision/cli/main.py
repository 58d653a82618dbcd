"""Entry point: groups the commands and turns the package's errors into one line."""

import os
import sys

import typer
from rich.console import Console

from keras_vision.cli.caption import caption
from keras_vision.cli.classify import classify
from keras_vision.cli.compress import compress, decompress
from keras_vision.cli.data import data
from keras_vision.cli.doctor import doctor
from keras_vision.cli.draw import draw
from keras_vision.cli.edges import edges
from keras_vision.cli.embed import embed
from keras_vision.cli.evaluate import evaluate
from keras_vision.cli.explore import explore
from keras_vision.cli.export import export
from keras_vision.cli.models import models
from keras_vision.cli.multi_label import multi_label
from keras_vision.cli.proposals import proposals
from keras_vision.cli.recipes import recipes
from keras_vision.cli.regions import regions
from keras_vision.cli.segment import segment
from keras_vision.cli.train import train
from keras_vision.errors import KerasVisionError

app = typer.Typer(
    help="The classic vision papers as Keras models: classify, segment, evaluate, fine-tune, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    *(classify, embed, explore, segment, edges, regions, proposals, draw, caption),
    *(evaluate, train, multi_label, export, compress, decompress),
):
    app.command(rich_help_panel="Work")(command)
app.add_typer(recipes, name="recipes", rich_help_panel="Work")
app.add_typer(data, name="data", rich_help_panel="Work")
app.add_typer(models, name="models", rich_help_panel="Look")
app.command(rich_help_panel="Look")(doctor)


def main() -> None:
    """Run the command line; exit 1 with one line on an error of the package's own, 130 on Ctrl-C."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes
    try:
        app(standalone_mode=True)
    except KerasVisionError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
