"""The tables of a run: damaged ones are refused in one sentence."""

import pytest

from bnn_keras.errors import UserError
from bnn_keras.report import flip_charts
from bnn_keras.runs import Table


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"epoch,loss\n1,0.5\n2\n", "damaged: row 2 has no epoch, or a value that is no number"),
        (b"epoch,loss\n1,0.5,3\n", "damaged: row 1 "),
        (b"epoch,loss\n1,\n", "damaged: row 1 "),
        (b"epoch,loss\n1,low\n", "damaged: row 1 "),
        (b"loss\n1\n", "damaged: row 1 has no epoch"),
        (b"\xff", "not a text in UTF-8"),
        (b'epoch,loss\n"1,0.5\n', "is not a table: unexpected end of data"),
    ],
)
def test_damaged_tables(content, sentence, tmp_path):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"history.csv .*{sentence}"):
        Table(tmp_path / "history.csv", ())


def test_columns_that_are_not_there(tmp_path):
    path = tmp_path / "flips.csv"
    path.write_text("epoch,kernel\n1,conv\n")
    table = Table(path, ())
    assert table.column("epoch") == [1.0]
    with pytest.raises(UserError, match="flips.csv has no column seconds."):
        table.column("seconds")
    with pytest.raises(UserError, match="flips.csv has no column weights."):
        flip_charts.first_and_last(table)
