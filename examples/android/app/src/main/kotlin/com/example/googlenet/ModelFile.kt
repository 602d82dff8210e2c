package com.example.googlenet

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject

/** What an exported .tflite file says of itself: its labels, its crop, its thresholds. */
class ModelFile(file: ByteArray) {
    val labels: List<String>
    val preprocessing: Preprocessing

    /** null if the network was not calibrated. */
    val calibration: Calibration?

    init {
        val texts = texts(file)
        val description = JSONObject(texts.getValue("classifier.json"))
        labels = texts.getValue("labels.txt").trimEnd('\n').lines()
        preprocessing = Preprocessing(description.getJSONObject("preprocessing"))
        calibration = description.optJSONObject("calibration")?.let(::Calibration)
    }
}

private const val END_RECORD = 0x06054b50 // PK\5\6
private const val END_RECORD_BYTES = 22

/**
 * The texts in the zip archive at the end of a file, by name.
 *
 * Android's ZipFile refuses an archive that does not begin the file. The texts are stored,
 * not compressed.
 */
private fun texts(file: ByteArray): Map<String, String> {
    val bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN)
    fun short(at: Int) = bytes.getShort(at).toInt() and 0xffff
    fun text(at: Int, count: Int) = String(file, at, count)
    val end = (file.size - END_RECORD_BYTES downTo 0).first { bytes.getInt(it) == END_RECORD }
    var entry = bytes.getInt(end + 16) // of the directory
    return List(short(end + 10)) {
        val (nameBytes, header) = short(entry + 28) to bytes.getInt(entry + 42)
        val name = text(entry + 46, nameBytes)
        check(short(entry + 10) == 0) { "$name is compressed" }
        val content = header + 30 + short(header + 26) + short(header + 28)
        val text = text(content, bytes.getInt(entry + 24))
        entry += 46 + nameBytes + short(entry + 30) + short(entry + 32)
        name to text
    }.toMap()
}
