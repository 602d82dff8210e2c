package androidx.camera.view

import android.content.Context
import android.view.View
import androidx.camera.core.ImageAnalysis
import androidx.lifecycle.LifecycleOwner
import java.util.concurrent.Executor

abstract class CameraController {
    fun setEnabledUseCases(enabledUseCases: Int) {}

    fun setImageAnalysisAnalyzer(executor: Executor, analyzer: ImageAnalysis.Analyzer) {}

    fun clearImageAnalysisAnalyzer() {}

    companion object {
        const val IMAGE_ANALYSIS = 2
    }
}

class LifecycleCameraController(context: Context) : CameraController() {
    fun bindToLifecycle(owner: LifecycleOwner) {}

    fun unbind() {}
}

class PreviewView(context: Context) : View(context) {
    var controller: CameraController? = null
}
