package org.example.classify

import android.graphics.Bitmap
import android.graphics.Color
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts
import androidx.core.content.FileProvider
import java.io.File
import java.util.concurrent.Executors
import kotlin.math.roundToInt

/** Classifies an image from the gallery or the camera. At the first start it checks the network. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor() // everything that takes long
    private var classifier: Classifier? = null // of the worker's thread

    private val photograph: Uri by lazy {
        FileProvider.getUriForFile(this, "$packageName.files", File(cacheDir, "photograph.jpg"))
    }
    private val pick = registerForActivityResult(ActivityResultContracts.PickVisualMedia()) { uri ->
        if (uri != null) classify(uri)
    }
    private val take = registerForActivityResult(ActivityResultContracts.TakePicture()) { isTaken ->
        if (isTaken) classify(photograph)
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        findViewById<Button>(R.id.pick).setOnClickListener {
            pick.launch(PickVisualMediaRequest(ActivityResultContracts.PickVisualMedia.ImageOnly))
        }
        findViewById<Button>(R.id.take).setOnClickListener { take.launch(photograph) }
        findViewById<Button>(R.id.check).setOnClickListener { work(R.id.checked) { check(it) } }
        work(R.id.checked) { network ->
            val done = getPreferences(MODE_PRIVATE).getString(CHECKED, null)
            if (done == network.sha256) "" else check(network)
        }
    }

    override fun onDestroy() {
        worker.execute { classifier?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    /** Check the network, and remember it if it is good. */
    private fun check(network: Classifier): String {
        val (isGood, lines) = network.check()
        getPreferences(MODE_PRIVATE).edit().putString(CHECKED, if (isGood) network.sha256 else null).apply()
        return (if (isGood) "self-check passed" else "SELF-CHECK FAILED") + "\n" + lines
    }

    private fun classify(uri: Uri) {
        work(R.id.answer) { network ->
            val source = ImageDecoder.createSource(contentResolver, uri)
            val image = ImageDecoder.decodeBitmap(source) { decoder, _, _ ->
                decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE // its pixels can be read
                decoder.setTargetColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
            }
            val values = network.preparation.prepare(image)
            show(values, network.preparation.size)
            val answer = network.classify(values)
            answer.classes.joinToString("\n", postfix = "\n%.1f ms".format(answer.milliseconds)) {
                "%s  %.1f %%".format(it.first, 100 * it.second)
            }
        }
    }

    /** Do something with the network, and show the text that it gives; what goes wrong is shown too. */
    private fun work(view: Int, task: (Classifier) -> String) {
        worker.execute {
            val text = try {
                task(classifier ?: Classifier(assets).also { classifier = it })
            } catch (error: Exception) {
                error.toString()
            }
            runOnUiThread { findViewById<TextView>(view).text = text }
        }
    }

    /** Show the image as the network sees it. */
    private fun show(values: FloatArray, size: Int) {
        val pixels = IntArray(size * size) { i ->
            Color.rgb(
                values[3 * i].roundToInt(),
                values[3 * i + 1].roundToInt(),
                values[3 * i + 2].roundToInt()
            )
        }
        val bitmap = Bitmap.createBitmap(pixels, size, size, Bitmap.Config.ARGB_8888)
        runOnUiThread { findViewById<ImageView>(R.id.image).setImageBitmap(bitmap) }
    }

    companion object {
        private const val CHECKED = "checked" // the checksum of the file that was checked
    }
}
