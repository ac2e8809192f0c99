"""Write a web page that classifies images in the browser with a trained network.

bnn demo RUN
bnn demo RUN --serve
bnn demo RUN --output_dir=PAGE --litert_js=DIR

RUN is a run folder or a .keras file. The network is converted to a portable file, and checked, as by
`bnn convert RUN --runtime=builtin`. The page takes an image from a file, by drag and drop, or from the
camera, and computes everything in the browser: no image leaves the device. It needs a web server, as browsers
load no scripts from files; --serve is one for this computer.

The runtime of the page, LiteRT.js, is downloaded from the npm registry, 20 MB, in a pinned version whose
SHA-512 sum is checked, and copied into the folder. Without a network, --litert_js names a folder that
`npm pack` wrote its two packages to. From then on the page needs no network.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras import files
from bnn_keras.cli import flags
from bnn_keras.cli.flags import COUNT, DATA_DIR, PATH, SWITCH, Flag
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Number, Text

if TYPE_CHECKING:
    from bnn_keras.runs.trained import TrainedNetwork

PAGE = "page"
FLAGS = [
    Flag("output_dir", PATH, "the page's folder; page in the run folder if not given"),
    flags.which_weights("checkpoint"),
    Flag(
        "dataset",
        Text("as in training, or samples"),
        "images to compare on, and of the page's samples; the run's own data set if not given",
    ),
    DATA_DIR,
    Flag("images", COUNT, "compare on no more images", 100),
    Flag("samples", COUNT, "images of the page", 8),
    Flag("litert_js", PATH, "a folder with the packages of LiteRT.js; they are downloaded if not given"),
    Flag("serve", SWITCH, "serve the page on this computer until Ctrl-C", False),
    Flag("port", Number(0, 65535, whole=True), "of --serve; 0 takes a free one", 0),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Convert, check, write the page, and serve it if that is asked for."""
    from bnn_keras import deploy
    from bnn_keras.deploy.bundle import images
    from bnn_keras.deploy.bundle import samples as bundled
    from bnn_keras.deploy.bundle.manifest import values_of
    from bnn_keras.deploy.bundle.source import source_of
    from bnn_keras.deploy.page import folder, litert_js, serving
    from bnn_keras.runs import trained
    from bnn_keras.settings.runtime import BUILTIN

    if len(positional) != 1:
        raise UserError(f"Give one run folder or .keras file. Received: {' '.join(positional) or 'nothing'}.")
    if values["port"].present and not values.serve:
        raise UserError("--port is the port of --serve: give both. Received: no --serve.")
    network = trained.load(positional[0], values.checkpoint)
    network.check_classifier()
    model, place = network.keras_model, Path(values.output_dir or network.path.parent / PAGE)
    about = folder.About(model.name, _names(network), network.preprocessing, values_of(model), "float32")
    files.check_writable(place / "index.html")
    server = serving.server_of(place, values.port) if values.serve else None
    runtime = litert_js.read(values.litert_js)
    compared = images.open(source_of(network), values.dataset, values.data_dir, values.images)
    flatbuffer, report = deploy.convert(
        model,
        compared.images,
        compared.labels,
        shows_progress=True,
        options=deploy.Options(BUILTIN),
    )
    print("\n".join(deploy.lines(report)))
    folder.check_size(len(flatbuffer), str(network.path))
    pixels, classes = bundled.choose(model, compared.images, values.samples)
    samples = [folder.Sample(image, about.classes[k]) for image, k in zip(pixels, classes, strict=True)]
    size = folder.write(place, about, flatbuffer, samples, runtime)
    print(f"wrote {place} ({size / 2**20:.1f} MiB): a web page, for any web server")
    if server is not None:
        print(f"open http://{serving.HOST}:{server.server_port}/ (Ctrl-C ends the server)", flush=True)
        server.serve_forever()


def _names(network: "TrainedNetwork") -> tuple[str, ...]:
    return network.class_names or tuple(map(str, range(network.classes)))
