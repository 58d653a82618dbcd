"""What the widgets share: a table with a column of images in, work in a thread, two tables out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from AnyQt.QtWidgets import QPushButton, QStyle
from Orange.data import Table
from Orange.widgets import gui
from Orange.widgets.settings import ContextSetting, DomainContextHandler, Setting
from Orange.widgets.utils.concurrent import ConcurrentWidgetMixin, TaskState
from Orange.widgets.utils.itemmodels import VariableListModel
from Orange.widgets.widget import Input, Msg, OWWidget

from keras_vision.errors import KerasVisionError
from keras_vision.orange.tables import Result, image_columns

Advance = Callable[[float], None]
Work = Callable[[Table, Any, Advance], Result]
LABEL_WIDTH = 140  # pixels


class Cancelled(Exception):
    """Raised in the thread where the work ends because nobody waits for it any more."""


class ImageWidget(OWWidget, ConcurrentWidgetMixin, openclass=True):  # type: ignore[call-arg]  # of Orange's metaclass
    """A widget on images. A subclass has `Outputs.images` and `Outputs.skipped`, `add_controls` and `plan`."""

    want_main_area = False
    resizing_enabled = False
    settingsHandler = DomainContextHandler()
    image_column = ContextSetting(None)
    auto_apply = Setting(True)

    class Inputs:
        images = Input("Images", Table)

    class Warning(OWWidget.Warning):
        no_images = Msg("No column of images: give a table with a text among its meta attributes that names files.")
        skipped = Msg("{} images are skipped; the second output says why.")

    class Error(OWWidget.Error):
        failed = Msg("{}")

    def __init__(self) -> None:
        OWWidget.__init__(self)
        ConcurrentWidgetMixin.__init__(self)
        self.data: Table | None = None
        box = gui.widgetBox(self.controlArea, "Settings")
        self.image_model = VariableListModel()
        gui.comboBox(
            box, self, "image_column", label="Images:", orientation=gui.Qt.Horizontal, labelWidth=LABEL_WIDTH,
            model=self.image_model, callback=self.changed, searchable=True,
        )  # fmt: skip
        self.add_controls(box)
        gui.auto_commit(self.buttonsArea, self, "auto_apply", "Apply")
        icon = self.style().standardIcon(QStyle.SP_DialogCancelButton)
        self.cancel_button = QPushButton("Cancel", icon=icon, enabled=False, autoDefault=False)
        self.cancel_button.clicked.connect(self.cancel)
        self.buttonsArea.layout().addWidget(self.cancel_button)

    def add_controls(self, box: Any) -> None:
        """Add the widget's own settings."""
        raise NotImplementedError

    def plan(self) -> Work:
        """The work as the settings stand now; it runs in a thread and must not look at the widget.

        Raises:
            KerasVisionError: a setting is missing.
        """
        raise NotImplementedError

    @Inputs.images
    def set_data(self, data: Table | None) -> None:
        """Take a table; the first column with the attribute type=image is chosen, or the last choice."""
        self.closeContext()
        self.cancel()
        self.data = data or None
        self.Warning.clear()
        self.image_model[:] = image_columns(data) if data else []
        self.image_column = self.image_model[0] if len(self.image_model) else None
        if data:
            self.openContext(data.domain)
            self.Warning.no_images(shown=self.image_column is None)
        self.commit.now()

    def changed(self) -> None:
        """A setting is another one: what is going on is of no use any more."""
        self.cancel()
        self.commit.deferred()

    @gui.deferred
    def commit(self) -> None:
        """Begin the work, or send nothing where there is none."""
        self.Error.clear()
        self.send(Result())
        if self.data is None or self.image_column is None:
            return
        try:
            work = self.plan()
        except KerasVisionError as error:
            self.Error.failed(str(error))
            return
        self.cancel_button.setEnabled(True)
        self.start(_run, work, self.data, self.image_column)

    def send(self, result: Result) -> None:
        """Both tables to the outputs."""
        self.Warning.skipped.clear()
        if result.skipped is not None:
            self.Warning.skipped(len(result.skipped))
        self.Outputs.images.send(result.images)
        self.Outputs.skipped.send(result.skipped)

    def on_done(self, result: Result) -> None:
        """The work is done."""
        self.cancel_button.setEnabled(False)
        self.send(result)

    def on_exception(self, error: Exception) -> None:
        """The work failed."""
        self.cancel_button.setEnabled(False)
        known = isinstance(error, KerasVisionError)
        if not known:
            logging.getLogger(__name__).error("%s failed", self.name, exc_info=error)
        self.Error.failed(str(error) if known else f"{type(error).__name__}: {error}")

    def cancel(self) -> None:
        """End the work; what was computed before stays in the cache."""
        self.cancel_button.setEnabled(False)
        super().cancel()

    def onDeleteWidget(self) -> None:
        """End the work and wait for it."""
        self.shutdown()
        super().onDeleteWidget()


def path_row(box: Any, widget: ImageWidget, value: str, label: str, choose: Callable[[], str], hint: str) -> Any:
    """A line for a path with a button that asks for one; returns the row."""

    def browse() -> None:
        if path := choose():
            setattr(widget, value, path)
            widget.changed()

    row = gui.hBox(box)
    line = gui.lineEdit(
        row, widget, value, label=label, labelWidth=LABEL_WIDTH, orientation=gui.Qt.Horizontal, callback=widget.changed
    )
    line.setPlaceholderText(hint)
    line.setMinimumWidth(260)
    gui.button(row, widget, "…", callback=browse, autoDefault=False, width=36)
    return row


def _run(work: Work, data: Table, column: Any, state: TaskState) -> Result:
    def advance(share: float) -> None:
        if state.is_interruption_requested():
            raise Cancelled
        state.set_status("")
        state.set_progress_value(100 * share)

    state.set_status("Opening the network")
    return work(data, column, advance)
