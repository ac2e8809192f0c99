"""Several workers: what each reads, that they agree with one, and that a killed one is no harm."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import data, runs
from bnn_keras.cli import data_service, launch
from bnn_keras.data import service
from bnn_keras.errors import UserError
from bnn_keras.training import distribution
from tests import small_run

ROOT = Path(__file__).parents[2]


def read(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


@pytest.mark.parametrize("skip", [0, 2])
def test_workers_together_see_what_one_sees(skip):
    digits = data.open("digits", train_examples=100)
    whole = read(digits.train(12, epoch=3, seed=5, skip_batches=skip))
    parts = [read(digits.train(12, 3, 5, skip, part=(i, 3))) for i in range(3)]
    assert [len(whole), *map(len, parts)] == [8 - skip] * 4
    for batch, *of_workers in zip(whole, *parts, strict=True):
        for together, alone in zip(zip(*of_workers, strict=True), batch, strict=True):
            np.testing.assert_array_equal(np.concatenate(together), alone)


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (110, [[25, 25, 5], [25, 25, 5]]),
        (131, [[25, 25, 16], [25, 25, 15]]),
        # 25 a batch would leave nothing to the second worker's third one.
        (101, [[26, 25], [26, 24]]),
    ],
)
def test_held_out_images_are_dealt_out_down_to_the_last(limit, sizes):
    digits = data.open("digits")
    parts = [digits.test(50, limit, part=(i, 2)) for i in range(2)]
    assert [[len(labels) for _, labels in part] for part in parts] == sizes
    assert [int(part.cardinality()) for part in parts] == [len(sizes[0])] * 2
    (whole,) = read(digits.test(limit, limit))
    for i, part in enumerate(parts):
        for dealt, alone in zip(zip(*read(part), strict=True), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(dealt), alone[i::2])


def test_what_cannot_be_shared_out_is_refused():
    digits = data.open("digits")
    for batches in (lambda: digits.train(16, 0, 0, part=(0, 3)), lambda: digits.test(16, part=(0, 3))):
        with pytest.raises(UserError, match=r"multiple of the 3 parts. Received: 16"):
            batches()
    with pytest.raises(UserError, match="2 held-out examples are not enough for 3 parts"):
        digits.test(30, limit=2, part=(0, 3))


def test_a_strategy_of_several_workers_needs_a_cluster(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(UserError, match="need TF_CONFIG in the environment"):
        distribution.strategy(None)


@pytest.mark.parametrize(
    ("kind", "index", "jobs", "writes"),
    [
        (None, None, [], True),
        ("worker", 0, ["worker"], True),
        ("worker", 1, ["worker"], False),
        ("chief", 0, ["chief", "worker"], True),
        ("worker", 0, ["chief", "worker"], False),
    ],
)
def test_one_worker_writes(kind, index, jobs, writes, tmp_path):
    class Resolver:
        task_type, task_id = kind, index

        def cluster_spec(self):
            return tf.train.ClusterSpec({job: ["a:1", "b:1"] for job in jobs})

    class Strategy:
        cluster_resolver = Resolver()

    assert distribution.is_chief(Strategy()) is writes
    with distribution.place_to_write(Strategy(), tmp_path / "run") as place:
        assert (place == tmp_path / "run") is writes
        place.mkdir()
    assert place.exists() is writes


def test_a_batch_that_the_replicas_cannot_share():
    class Strategy:
        num_replicas_in_sync = 3

    with pytest.raises(UserError, match="multiple of the 3 replicas. Received: 16"):
        distribution.check_batch(Strategy(), 16)


def test_unknown_strategies_are_refused():
    with pytest.raises(UserError, match="strategy 'mirrord'; valid: none, mirrored, multiworker"):
        distribution.strategy("mirrord")


def run_launch(tmp_path, code, *flags):
    """Launch a Python program of a few lines in two workers; `index` is the worker's."""
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os, signal, sys, time\n"
        "from pathlib import Path\n"
        "config = json.loads(os.environ['TF_CONFIG'])\n"
        "index = config['task']['index']\n"
        f"here = Path({str(tmp_path)!r})\n" + code
    )
    return launch.main(["launch", *flags, "--", str(program), "--an_option=1"])


def test_every_worker_runs_the_command_and_knows_the_cluster(tmp_path, capfd):
    code = "(here / str(index)).write_text(json.dumps([config, sys.argv[1:]])); print('from', index)"
    assert run_launch(tmp_path, code, "--workers=3", f"--logs={tmp_path}/logs") == 0
    seen = [json.loads((tmp_path / str(i)).read_text()) for i in range(3)]
    assert len({address for config, _ in seen for address in config["cluster"]["worker"]}) == 3
    assert [config["task"] for config, _ in seen] == [{"type": "worker", "index": i} for i in range(3)]
    assert [words for _, words in seen] == [["--an_option=1"]] * 3
    assert capfd.readouterr().out == "from 0\n"
    assert (tmp_path / "logs" / "worker2.log").read_text() == "from 2\n"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_starts_all_again(victim, tmp_path, capfd):
    code = f"""
first = not (here / f"been{{index}}").exists()
(here / f"been{{index}}").write_text("")
if first:
    if index == {victim}:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(100)
print("done", index)
"""
    assert run_launch(tmp_path, code) == 0
    assert capfd.readouterr().out == f"worker {victim} was killed by SIGKILL; all start again\ndone 0\n"


@pytest.mark.parametrize(
    ("code", "status", "shown"),
    [
        ("if index: print('error: no such thing.', file=sys.stderr); sys.exit(2)\ntime.sleep(100)", 2,
         "error: no such thing.\n"),
        ("print('error: no such thing.', file=sys.stderr); sys.exit(2)", 2, "error: no such thing.\n"),
        ("time.sleep(100 * (1 - index)); 1 / 0", 1, "ZeroDivisionError"),
        # Whoever loses a peer may abort, which is no reason to start again.
        ("if index: sys.exit('a bug')\ntime.sleep(0.01); os.abort()", 1, "a bug"),
    ],
    ids=["one", "all", "bug", "abort"],
)  # fmt: skip
def test_a_worker_that_fails_by_itself_ends_all(code, status, shown, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(launch, "GRACE_SECONDS", 1.0)
    with pytest.raises(SystemExit) as ended:
        run_launch(tmp_path, code)
    captured = capfd.readouterr()
    assert ended.value.code == status and "again" not in captured.out
    assert shown in captured.err and captured.err.count("error: ") == (status == 2)


def test_starting_again_without_progress_has_an_end(tmp_path, capfd):
    code = """
starts = here / f"starts{index}"
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
if not index:
    # From step 3 in the second start, and from step 5 in all later ones.
    step = [None, 3, 5][min(len(starts.read_text()), 3) - 1]
    print(f"resuming at epoch 1, step 3 (global step {step})" if step else "anew", flush=True)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(100)
"""
    assert run_launch(tmp_path, code) == 2
    error = capfd.readouterr().err
    assert error.startswith(
        "error: Worker 0 was killed by SIGKILL, and 5 starts from step 5 came to no later"
    )
    assert (tmp_path / "starts0").read_text() == "x" * (2 + launch.STARTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_the_launcher_ends_all(number, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time, json\n"
        "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
        "open(sys.argv[1] + f'/pid{index}', 'w').write(f'{os.getpid()}\\n')\n"
        "time.sleep(100)\n"
    )
    command = [sys.executable, "-m", "bnn_keras.cli.launch", "--workers=2", "--", str(program), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as launcher:
        pids = [tmp_path / f"pid{i}" for i in range(2)]
        wait_for(lambda: all(pid.exists() and pid.read_text().endswith("\n") for pid in pids))
        launcher.send_signal(number)
        assert launcher.wait(30) == 128 + number
        assert "Traceback" not in launcher.stderr.read()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no command: give it behind --"),
        (["--workers=0", "--", "train.py"], "--workers"),
        (["--", "trian.py"], "There is no file or program trian.py"),
        (["--", "bnn-trian"], "There is no file or program bnn-trian"),
        (
            ["--logs=/dev/null/logs", "--", "train.py", "--list_models"],
            "Cannot write /dev/null/logs/worker1.log",
        ),
        (["--wrkers=2", "--", "train.py"], "valid flags: --logs, --workers"),
    ],
)
def test_mistakes_at_the_launch(words, sentence, capfd):
    assert launch.main(["launch", *words]) == 2
    assert sentence in capfd.readouterr().err


def wait_for(condition, seconds=60, pause=0.05):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(pause)


@pytest.fixture(scope="module")
def service_of_two():
    """The address of a tf.data service with one dispatcher and two workers."""
    dispatcher = service.start()
    workers = [service.start(service.address(dispatcher)) for _ in range(2)]
    yield service.address(dispatcher)
    del workers, dispatcher


def test_a_data_service_gives_the_same_batches(service_of_two):
    digits = data.open("digits", train_examples=100)

    def part(part):
        return digits.train(12, epoch=3, seed=5, skip_batches=2, part=part)

    for i, n in ((0, 1), (1, 3)):
        decoded = read(service.decoded_by(service_of_two, part, (i, n), 12))
        for ours, expected in zip(decoded, read(part((i, n))), strict=True):
            for tensor, other in zip(ours, expected, strict=True):
                np.testing.assert_array_equal(tensor, other)


@pytest.mark.large
def test_a_run_that_reads_through_a_service_has_the_same_weights(service_of_two, tmp_path):
    weights = [
        small_run.train(tmp_path / name, SGD.replace(epochs=1), data_service=address).get_weights()
        for name, address in (("with", service_of_two), ("without", None))
    ]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("5050", "must be an address like HOST:5050.* Received: '5050'"),
        (
            "localhost:1",
            "No tf.data service answers at localhost:1: .*Start one with python -m bnn_keras data-service",
        ),
        ("localhost:99999", "must be an address like HOST:5050"),
    ],
)
def test_a_service_that_is_not_there(address, sentence, tmp_path):
    for start in (service.start, lambda it: small_run.train(tmp_path / "run", data_service=it)):
        with pytest.raises(UserError, match=sentence):
            start(address)
    assert not (tmp_path / "run").exists()


def test_a_service_whose_port_is_taken(capfd):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        assert data_service.main(["data_service", f"--port={taken.getsockname()[1]}"]) == 2
    assert "error: Cannot listen at port" in capfd.readouterr().err


def test_servers_as_commands(tmp_path):
    command = [sys.executable, "-m", "bnn_keras.cli.data_service"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as dispatcher:
        address = dispatcher.stdout.readline().split()[-1]
        with subprocess.Popen(
            [*command, f"--dispatcher={address}"], cwd=ROOT, stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdout.readline() == f"decodes for {address}\n".encode()
            worker.send_signal(signal.SIGINT)
            assert worker.wait(30) == 130
        dispatcher.send_signal(signal.SIGINT)
        assert dispatcher.wait(30) == 130


SGD = small_run.RECIPE.replace(optimizer="sgd", learning_rate=0.1)
OPTIONS = "--optimizer=sgd", "--learning_rate=0.1", "--checkpoint_steps=2"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run in one process that was left alone."""
    folder = runs.RunFolder(tmp_path_factory.mktemp("runs") / "alone")
    small_run.train(folder.path, SGD)
    return folder


def train_together(folder, *options):
    """A run of two workers on this machine."""
    program = str(ROOT / "tests" / "small_run.py")
    command = ["launch", "--workers=2", "--", program, f"--output_dir={folder}", *OPTIONS, *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        assert launch.main(command) == 0
    return runs.RunFolder(folder)


def assert_trained_alike(together, alone):
    """The same sums in another order."""
    for columns, tolerance in ((("loss", "accuracy", "learning_rate"), 1e-4), (("val_loss",), 0.02)):
        ours, expected = (numbers(folder.history, *columns) for folder in (together, alone))
        np.testing.assert_allclose(ours, expected, rtol=tolerance)
    flips = numbers(together.flips, "mean", "stable", "p99", "p100")
    np.testing.assert_array_equal(flips, numbers(alone.flips, "mean", "stable", "p99", "p100"))
    assert flips[:, 0].min() > 0


def numbers(path, *columns):
    return np.array([[float(row[column]) for column in columns] for row in small_run.rows(path)])


def test_two_workers_of_which_one_is_killed_train_as_one_alone(tmp_path, capfd, alone):
    together = train_together(tmp_path / "together", "--sync_batch_norm", "--kill=1:7")
    shown = capfd.readouterr().out
    assert "worker 1 was killed by SIGKILL; all start again\n" in shown
    assert "resuming at epoch 2, step 2 (global step 6)" in shown
    assert_trained_alike(together, alone)
    names = [{path.name for path in folder.path.iterdir()} for folder in (together, alone)]
    assert names[0] == names[1]
    assert together.read_config().replicas == 2


@pytest.mark.large
def test_two_devices_of_one_process_train_as_one(tmp_path, alone):
    done = small_run.command(tmp_path / "run", *OPTIONS, "--sync_batch_norm", "--devices=2")
    assert done.returncode == 0, done.stderr
    assert_trained_alike(runs.RunFolder(tmp_path / "run"), alone)


@pytest.mark.large
def test_two_workers_follow_the_loss_curve_of_one(tmp_path):
    """They are no further from one with the same seed than another seed is."""
    settings = "--model=meliusnet22", "--train_examples=512", "--epochs=4"
    two = launch.main(["launch", "--workers=2", "--", str(ROOT / "train.py"), *settings, "--sync_batch_norm",
                       f"--output_dir={tmp_path}/two"])  # fmt: skip
    assert two == 0
    train = [sys.executable, str(ROOT / "train.py"), *settings, f"--output_dir={tmp_path}/one", "--seeds=2"]
    subprocess.run(train, check=True, cwd=ROOT)
    two, one, other = (numbers(tmp_path / name / "history.csv", "loss", "val_loss")
                       for name in ("two", "one/seed0", "one/seed1"))  # fmt: skip
    assert np.all(np.abs(two - one).mean(0) < np.abs(one - other).mean(0))


@pytest.mark.large
@pytest.mark.parametrize("options", [["--sync_batch_norm"], []], ids=["synchronized", "apart"])
def test_killed_again_and_again_two_workers_end_where_an_undisturbed_run_does(options, tmp_path):
    options = ["--epochs=3", *options]
    whole = train_together(tmp_path / "whole", *options)
    killed = train_together(tmp_path / "killed", "--kill=0:1,1:3,0:4,1:8,0:11,1:12", *options)
    assert len(list(tmp_path.glob("killed.killed-*"))) == 6
    assert killed.flips.read_text() == whole.flips.read_text()
    apart = "--sync_batch_norm" not in options
    ours, expected = (small_run.rows(folder.history, but=["seconds"]) for folder in (killed, whole))
    for row, other in zip(ours, expected, strict=True):
        for column in ("epoch", "accuracy", *([] if apart else ["val_accuracy"])):
            assert row[column] == other[column]
        # Both workers' sums of an epoch, which a checkpoint holds as one, are rounded in another order.
        np.testing.assert_allclose(float(row["loss"]), float(other["loss"]), rtol=1e-6)
    weights = zip(*(small_run.weights_of(folder.last_model) for folder in (killed, whole)), strict=True)
    for name, (a, b) in zip([w.name for w in small_run.network().weights], weights, strict=True):
        if "moving" in name and apart:
            # Each worker's own, of which a checkpoint keeps the mean.
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(a, b)
