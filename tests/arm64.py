"""Run a portable file on ARM64, emulated, and compare its outputs with those of this computer.

python tests/arm64.py FILE.tflite FOLDER [--images=2]

The first run fills FOLDER: qemu-user-static and an ARM64 Python of Debian 12 (apt-get), and the ARM64 wheels
of ai-edge-litert and NumPy (pip). It needs Debian, x86-64 and a network, but no rights. Outputs are compared
in LiteRT with XNNPACK and without. Binary sums are whole numbers on both, so only the rounding of the 32-bit
rest differs; where that turns a sign near 0, more differs. The exit status is 1 if a class differs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

PACKAGES = ["python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libexpat1"]
PACKAGES += ["zlib1g", "libssl3", "libstdc++6", "libgcc-s1", "libffi8", "libbz2-1.0", "liblzma5", "libuuid1"]
PACKAGES += ["libcrypt1", "gcc-12-base"]
# Under qemu 7.2, Debian's, the ARM64 wheel of ai-edge-litert 2.3.0 ends with a segmentation fault when it
# reads any file; those of 1.4.0 and 2.1.6 run.
WHEELS = ("ai-edge-litert==2.1.6", "numpy==1.26.4", "backports.strenum==1.2.8")
PLATFORM = "manylinux_2_27_aarch64"
FILLED = "filled"  # exists when all was downloaded
# What runs in the emulator, and here: images and outputs are .npy files.
SCRIPT = """
import platform, sys
sys.path[:0] = sys.argv[4:]
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
path, images, outputs = sys.argv[1:4]
for name in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
    run = Interpreter(path, num_threads=1, experimental_op_resolver_type=OpResolverType[name])
    run.allocate_tensors()
    (taken,), (given,) = run.get_input_details(), run.get_output_details()
    found = []
    for image in np.load(images):
        run.set_tensor(taken["index"], image[None].astype(taken["dtype"]))
        run.invoke()
        found.append(run.get_tensor(given["index"])[0])
    np.save(f"{outputs}-{name}.npy", np.stack(found))
print(platform.machine())
"""


def fill(folder: Path) -> None:
    """Download and unpack what the emulation needs."""
    for name in (
        "apt/state/lists/partial",
        "apt/cache/archives/partial",
        "debs",
        "wheels",
        "root",
        "site",
        "qemu",
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "apt/state/status").touch()
    state = f"-oDir::State={folder}/apt/state -oDir::State::status={folder}/apt/state/status"
    # Otherwise apt-get warns root that its sandbox cannot write here.
    here = "-oAPT::Sandbox::User=root"
    foreign = f"{here} {state} -oAPT::Architecture=arm64 -oAPT::Architectures=arm64"
    foreign += f" -oDir::Cache={folder}/apt/cache"
    shell(folder, "apt-get", *foreign.split(), "-qq", "update")
    shell(folder / "debs", "apt-get", *foreign.split(), "-qq", "download", *PACKAGES)
    shell(folder / "qemu", "apt-get", here, "-qq", "download", "qemu-user-static")
    for place, into in (("debs", "root"), ("qemu", "qemu")):
        for package in (folder / place).glob("*.deb"):
            shell(folder, "dpkg", "-x", str(package), str(folder / into))
    for wheel in WHEELS:
        options = "--only-binary=:all: --no-deps --python-version=3.11 --quiet"
        options += f" --target={folder}/site --upgrade"
        platforms = (f"--platform={PLATFORM}", "--platform=manylinux2014_aarch64", "--platform=any")
        shell(folder, sys.executable, "-m", "pip", "install", *options.split(), *platforms, wheel)
    (folder / FILLED).touch()


def shell(folder: Path, *command: str) -> str:
    """What a command prints; a CalledProcessError if it fails."""
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Compare, and return 1 if a class differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2)
    arguments = parser.parse_args()
    folder, file = arguments.folder.resolve(), arguments.file.resolve()
    python = folder / "root/usr/bin/python3.11"
    if not (folder / FILLED).exists():
        fill(folder)
    from ai_edge_litert.interpreter import Interpreter

    (taken,) = Interpreter(str(file)).get_input_details()
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (arguments.images, *taken["shape"][1:])))
    (folder / "script.py").write_text(SCRIPT)
    words = [str(folder / "script.py"), str(file), str(folder / "images.npy")]
    emulator = [str(folder / "qemu/usr/bin/qemu-aarch64-static"), "-L", str(folder / "root"), str(python)]
    there = shell(folder, *emulator, *words, str(folder / "arm64"), str(folder / "site")).strip()
    here = shell(folder, sys.executable, *words, str(folder / "here")).strip()
    worst = 0
    for name in ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        ours, theirs = (np.load(folder / f"{place}-{name}.npy") for place in ("here", "arm64"))
        same = int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        difference = np.abs(ours - theirs).max() / np.abs(ours).max()
        print(
            f"{file.name}, {name}: {there} and {here} give the same class to {same} of {len(ours)} images; "
            f"largest difference {difference:.2g} of the largest output"
        )
        worst = max(worst, len(ours) - same)
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main())
