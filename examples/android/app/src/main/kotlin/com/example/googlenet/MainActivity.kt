package com.example.googlenet

import android.Manifest
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.camera.core.ImageProxy
import androidx.camera.view.CameraController
import androidx.camera.view.LifecycleCameraController
import androidx.camera.view.PreviewView
import java.util.Locale
import java.util.concurrent.Executors

private const val SHOWN_GUESSES = 3

/** The camera's picture with what it shows, a photo picker, and the self-test. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor() // of the network and all photos
    private val classifier = lazy { openClassifier(applicationContext) } // in the worker
    private val camera by lazy { LifecycleCameraController(this) }
    private lateinit var preview: PreviewView
    private lateinit var text: TextView

    private val picker = registerForActivityResult(PickVisualMedia()) { photo ->
        if (photo != null) show(photo)
    }
    private val permission = registerForActivityResult(RequestPermission()) { granted ->
        if (granted) showCamera() else text.text = "Without the camera: choose a photo."
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(layout())
        permission.launch(Manifest.permission.CAMERA)
    }

    private fun layout() = LinearLayout(this).apply {
        orientation = LinearLayout.VERTICAL
        fitsSystemWindows = true
        preview = PreviewView(context)
        addView(preview, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 0, 1f))
        text = TextView(context).apply { textSize = 20f; minLines = SHOWN_GUESSES + 1 }
        addView(text)
        addView(button("Choose a photo") {
            picker.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly))
        })
        addView(button("Camera") { permission.launch(Manifest.permission.CAMERA) })
        addView(button("Self-test") {
            startActivity(Intent(this@MainActivity, SelfTestActivity::class.java))
        })
    }

    private fun button(name: String, action: () -> Unit) = Button(this).apply {
        text = name
        setOnClickListener { action() }
    }

    private fun showCamera() {
        camera.setEnabledUseCases(CameraController.IMAGE_ANALYSIS)
        camera.setImageAnalysisAnalyzer(worker) { frame -> frame.use { show(it) } }
        camera.bindToLifecycle(this)
        preview.controller = camera
    }

    private fun show(frame: ImageProxy) = show {
        val turn = when (frame.imageInfo.rotationDegrees) { // clockwise, as EXIF's number
            90 -> 6
            180 -> 3
            270 -> 8
            else -> 1
        }
        frame.toBitmap().toPhoto().turned(turn)
    }

    private fun show(photo: Uri) {
        camera.unbind()
        worker.execute {
            show {
                val file = contentResolver.openInputStream(photo)?.use { it.readBytes() }
                decode(requireNotNull(file), classifier.value.model.preprocessing)
            }
        }
    }

    /** Shows the answer to a photo; in the worker. */
    private fun show(photo: () -> Photo) {
        val shown = runCatching { lines(classifier.value.classify(photo())) }
            .getOrElse { "There is no answer: $it" }
        runOnUiThread { text.text = shown }
    }

    private fun lines(answer: Answer): String {
        val guesses = answer.guesses.take(SHOWN_GUESSES).map {
            "%.1f %%  %s".format(Locale.getDefault(), 100 * it.probability, it.label)
        }
        return (listOfNotNull(answer.summary) + guesses).joinToString("\n")
    }

    override fun onDestroy() {
        super.onDestroy()
        camera.clearImageAnalysisAnalyzer()
        worker.execute { if (classifier.isInitialized()) classifier.value.close() }
        worker.shutdown()
    }
}
