package com.example.googlenet

import android.os.Bundle
import android.widget.TextView
import androidx.activity.ComponentActivity
import kotlin.concurrent.thread

/** Says whether this app answers the images of the export's self-test as it must. */
class SelfTestActivity : ComponentActivity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val text = TextView(this).apply {
            fitsSystemWindows = true
            textSize = 20f
            text = "The self-test runs."
        }
        setContentView(text)
        thread {
            val result = runCatching {
                openClassifier(applicationContext).use { classifier ->
                    "$MODEL on the ${classifier.processor}\n\n${classifier.selfTest(this)}"
                }
            }.getOrElse { "There is no self-test: $it" }
            runOnUiThread { text.text = result }
        }
    }
}
