package com.google.mediapipe.tasks.core

class BaseOptions private constructor() {
    class Builder {
        fun setModelAssetPath(value: String) = this

        fun build() = BaseOptions()
    }

    companion object {
        fun builder() = Builder()
    }
}
