"""LiteRT.js, the runtime of the page: downloaded from the npm registry, or taken from a folder.

Its version is pinned, and its packages are checked against the SHA-512 sums of that version, wherever they
come from. Source: https://www.npmjs.com/package/@litertjs/core, Apache License 2.0.
"""

import base64
import dataclasses
import hashlib
import io
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from bnn_keras import files
from bnn_keras.errors import UserError

VERSION = "2.5.3"
REGISTRY = "https://registry.npmjs.org"
LARGEST = 2**26  # bytes of a package
SECONDS = 120  # for a download


@dataclasses.dataclass(frozen=True)
class Package:
    """A package of the npm registry.

    Args:
        name: without the scope @litertjs.
        sha512: in base64, as the registry gives it.
        members: the files that the page needs, by their names in the page's folder.
    """

    name: str
    sha512: str
    members: dict[str, str]

    @property
    def file(self) -> str:
        """Its name, as `npm pack` gives it."""
        return f"litertjs-{self.name}-{VERSION}.tgz"

    @property
    def address(self) -> str:
        """Where it is downloaded from."""
        return f"{REGISTRY}/@litertjs/{self.name}/-/{self.name}-{VERSION}.tgz"


# Without threads: these need a server that sends two headers, and the page should run from any server.
_WASM = [f"litert_wasm_{kind}internal.{end}" for kind in ("", "compat_") for end in ("js", "wasm")]
PACKAGES = (
    Package(
        "core",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        {
            "core.js": "package/dist/index.js",
            "core-package.json": "package/package.json",
            **{name: f"package/wasm/{name}" for name in _WASM},
        },
    ),
    Package(
        "wasm-utils",
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        {"wasm-utils.js": "package/dist/index.js", "wasm-utils-package.json": "package/package.json"},
    ),
)
HOW = f"npm pack @litertjs/core@{VERSION} @litertjs/wasm-utils@{VERSION}"


def read(folder: str | None) -> dict[str, bytes]:
    """The files of LiteRT.js that a page needs, by their names.

    Args:
        folder: that `npm pack` wrote the packages to; None downloads them.

    Raises:
        UserError: a package is absent, cannot be downloaded, or has another sum.
    """
    found: dict[str, bytes] = {}
    for package in PACKAGES:
        content = _download(package) if folder is None else _read(Path(folder) / package.file)
        sha512 = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if sha512 != package.sha512:
            where = package.address if folder is None else Path(folder) / package.file
            raise UserError(f"{where} is not @litertjs/{package.name} {VERSION}: its SHA-512 sum differs.")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for name, member in package.members.items():
                file = archive.extractfile(member)
                found[name] = b"" if file is None else file.read()
    return found


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path} is missing: fill the folder with {HOW}")
    return files.read_bytes(path, LARGEST)


def _download(package: Package) -> bytes:
    print(f"downloading {package.address}")
    try:
        with urllib.request.urlopen(package.address, timeout=SECONDS) as answer:
            return bytes(answer.read(LARGEST))
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"Cannot download {package.address} ({reason}): on a computer with a network run {HOW}, and give "
            f"the folder as --litert_js."
        ) from error
