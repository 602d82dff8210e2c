package com.google.mediapipe.tasks.vision.core

import android.graphics.RectF

class ImageProcessingOptions private constructor(val region: RectF?) {
    class Builder {
        private var region: RectF? = null

        fun setRegionOfInterest(value: RectF) = apply { region = value }

        fun build() = ImageProcessingOptions(region)
    }

    companion object {
        fun builder() = Builder()
    }
}
