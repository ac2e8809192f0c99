package org.example.classify

import android.content.res.AssetManager
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import java.security.MessageDigest
import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.roundToInt
import org.json.JSONArray
import org.json.JSONObject

/** What the network says of an image: its likeliest classes with their shares, and the time it took. */
class Answer(val classes: List<Pair<String, Float>>, val milliseconds: Double)

/** The portable file of the bundle in LiteRT, with its labels. Not for several threads at a time. */
class Classifier(private val assets: AssetManager) : AutoCloseable {
    private val name = assets.list("").orEmpty().first { it.endsWith(ENDING) }.removeSuffix(".tflite")
    private val manifest = JSONObject(text("$name.json"))
    private val labels = text("labels.txt").lines()
    private val upsideDown = manifest.getJSONObject("input").getString("orientation") == "upside_down"
    private val takesBytes = manifest.getJSONObject("input").getString("type") == "uint8"
    private val givesLogits = manifest.getJSONObject("output").getString("values") == "logits"
    private val model = CompiledModel.create(assets, "$name.tflite", CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()

    val preparation = Preparation(manifest)

    /** The checksum of the .tflite file, as its manifest has it. */
    val sha256: String = manifest.getString("sha256")

    /** The likeliest classes of an upright image. */
    fun classify(values: FloatArray): Answer {
        val begin = System.nanoTime()
        val output = run(values)
        val milliseconds = (System.nanoTime() - begin) / 1e6
        val shares = if (givesLogits) probabilities(output) else output
        val best = shares.indices.sortedByDescending { shares[it] }.take(TOP)
        return Answer(best.map { Pair(labels[it], shares[it]) }, milliseconds)
    }

    /** Compare the outputs of the samples with the expected ones: a line for each, and whether all are good. */
    fun check(): Pair<Boolean, String> {
        if (checksum("$name.tflite") != sha256) return Pair(false, "$name.tflite is damaged")
        val expected = JSONObject(text("samples/$name.json"))
        val samples = expected.getJSONArray("samples")
        val tolerance = expected.getDouble("tolerance")
        val lines = ArrayList<String>()
        var passed = 0
        for (i in 0 until samples.length()) {
            val sample = samples.getString(i)
            val difference = difference(run(read(sample)), expected.getJSONArray("outputs").getJSONArray(i))
            val good = difference <= tolerance // not so for NaN
            if (good) passed += 1
            lines.add("$sample: largest difference $difference: ${if (good) "ok" else "WRONG"}")
        }
        lines.add("$passed of ${samples.length()} samples give what they should")
        return Pair(passed == samples.length(), lines.joinToString("\n"))
    }

    override fun close() {
        inputs.forEach { it.close() }
        outputs.forEach { it.close() }
        model.close()
    }

    /** From RGB in [0, 255], [size, size, 3], to one value for each class. */
    private fun run(upright: FloatArray): FloatArray {
        val values = if (upsideDown) turned(upright) else upright
        if (takesBytes) {
            inputs[0].writeInt8(ByteArray(values.size) { values[it].roundToInt().toByte() })
        } else {
            inputs[0].writeFloat(values)
        }
        model.run(inputs, outputs)
        return outputs[0].readFloat()
    }

    private fun turned(values: FloatArray): FloatArray {
        val pixels = values.size / 3
        return FloatArray(values.size) { i -> values[3 * (pixels - 1 - i / 3) + i % 3] }
    }

    private fun probabilities(output: FloatArray): FloatArray {
        var largest = output[0]
        for (value in output) largest = maxOf(largest, value)
        val powers = FloatArray(output.size) { exp(output[it] - largest) }
        val sum = powers.sum()
        return FloatArray(output.size) { powers[it] / sum }
    }

    private fun difference(output: FloatArray, wanted: JSONArray): Double {
        if (output.size != wanted.length()) return Double.NaN
        var largest = 0.0
        for (k in output.indices) {
            val one = abs(output[k] - wanted.getDouble(k))
            if (one.isNaN()) return one
            largest = maxOf(largest, one)
        }
        return largest
    }

    private fun read(sample: String): FloatArray {
        val image: Bitmap? = assets.open("samples/$sample").use { BitmapFactory.decodeStream(it) }
        val size = preparation.size
        if (image == null || image.width != size || image.height != size) {
            throw IllegalStateException("$sample is not an image of $size pixels")
        }
        return preparation.withoutChange(image)
    }

    private fun text(file: String): String =
        assets.open(file).bufferedReader().use { it.readText().trimEnd('\n') }

    private fun checksum(file: String): String {
        val digest = MessageDigest.getInstance("SHA-256").digest(assets.open(file).use { it.readBytes() })
        return digest.joinToString("") { "%02x".format(it) }
    }

    companion object {
        private const val ENDING = "_portable.tflite"
        private const val TOP = 5
    }
}
