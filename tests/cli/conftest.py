"""The command line without another start of TensorFlow."""

import subprocess
import sys

import pytest

from keras_vision.cli.main import main


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the command here, without another start of TensorFlow: exit status, and what it prints on both streams."""

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["keras-vision", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(arguments, ended.value.code, *capsys.readouterr())

    return called
