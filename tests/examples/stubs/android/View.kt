package android.view

import android.content.Context

open class View(val context: Context) {
    var fitsSystemWindows = false

    fun setOnClickListener(listener: (View) -> Unit) {}
}
