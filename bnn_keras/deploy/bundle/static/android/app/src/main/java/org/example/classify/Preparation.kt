package org.example.classify

import android.graphics.Bitmap
import android.graphics.Color
import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import org.json.JSONObject

/** How an image becomes the input of the network: `input.preprocessing` of the manifest. */
class Preparation(manifest: JSONObject) {
    private val steps = manifest.getJSONObject("input").getJSONObject("preprocessing")
    private val shorterSide = steps.getInt("shorter_side")
    private val bicubic = steps.getString("interpolation") == "bicubic"
    private val antialias = steps.getBoolean("antialias")

    /** The edge in pixels of the network's input. */
    val size = steps.getInt("crop_size")

    /** The pixels of a side that make one pixel of the resized side: the first one, and the weight of each. */
    private class Window(val first: Int, val weights: DoubleArray)

    /** Resize the shorter side, and cut out the central square: RGB in [0, 255], [size, size, 3]. */
    fun prepare(image: Bitmap): FloatArray {
        val shorter = minOf(image.width, image.height).toLong()
        val columns = windows(image.width, (image.width * shorterSide.toLong() / shorter).toInt())
        val rows = windows(image.height, (image.height * shorterSide.toLong() / shorter).toInt())
        // First along the rows, and only those that are needed.
        val first = rows.first().first
        val last = rows.last().first + rows.last().weights.size
        val narrow = Array(last - first) { y -> narrowed(image, first + y, columns) }
        val prepared = FloatArray(size * size * 3)
        for (y in 0 until size) {
            for (i in 0 until size * 3) {
                var value = 0.0
                for (k in rows[y].weights.indices) {
                    value += rows[y].weights[k] * narrow[rows[y].first - first + k][i]
                }
                prepared[y * size * 3 + i] = value.coerceIn(0.0, 255.0).toFloat()
            }
        }
        return prepared
    }

    /** The pixels of an image that is the input already. */
    fun withoutChange(image: Bitmap): FloatArray {
        val values = FloatArray(size * size * 3)
        val pixels = IntArray(size * size)
        image.getPixels(pixels, 0, size, 0, 0, size, size)
        for (i in pixels.indices) {
            values[3 * i] = Color.red(pixels[i]).toFloat()
            values[3 * i + 1] = Color.green(pixels[i]).toFloat()
            values[3 * i + 2] = Color.blue(pixels[i]).toFloat()
        }
        return values
    }

    /** A row of the image with its columns resized. */
    private fun narrowed(image: Bitmap, y: Int, columns: List<Window>): DoubleArray {
        val row = IntArray(image.width)
        image.getPixels(row, 0, image.width, 0, y, image.width, 1)
        val values = DoubleArray(size * 3)
        for (x in 0 until size) {
            val window = columns[x]
            for (k in window.weights.indices) {
                val pixel = row[window.first + k]
                values[3 * x] += window.weights[k] * Color.red(pixel)
                values[3 * x + 1] += window.weights[k] * Color.green(pixel)
                values[3 * x + 2] += window.weights[k] * Color.blue(pixel)
            }
        }
        return values
    }

    /** The windows of the pixels that are cut out, of a side of `before` pixels that is resized to `after`. */
    private fun windows(before: Int, after: Int): List<Window> {
        val scale = before.toDouble() / after
        val width = if (antialias) maxOf(scale, 1.0) else 1.0
        val reach = (if (bicubic) 2 else 1) * width
        return List(size) { i ->
            val centre = ((after - size) / 2 + i + 0.5) * scale - 0.5
            val first = maxOf(0, ceil(centre - reach).toInt())
            val last = minOf(before - 1, floor(centre + reach).toInt())
            val weights = DoubleArray(last - first + 1) { k -> kernel(abs(first + k - centre) / width) }
            val sum = weights.sum()
            Window(first, DoubleArray(weights.size) { k -> weights[k] / sum })
        }
    }

    /** The kernel of the interpolation; bicubic is that of Keys (1981), with a = -0.5. */
    private fun kernel(x: Double): Double {
        if (!bicubic) return maxOf(0.0, 1 - x)
        if (x < 1) return (1.5 * x - 2.5) * x * x + 1
        return if (x < 2) ((-0.5 * x + 2.5) * x - 4) * x + 2 else 0.0
    }
}
