plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "com.example.googlenet"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "com.example.googlenet"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = "1.0"
    }

    // two runtimes for the same app: gradle assembleLitertDebug or assembleMediapipeDebug
    flavorDimensions += "runtime"
    productFlavors {
        create("litert") {
            dimension = "runtime"
            isDefault = true
        }
        create("mediapipe") { dimension = "runtime" }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    androidResources {
        noCompress += "tflite" // a runtime maps the file into memory
    }
}

dependencies {
    implementation(libs.activity)
    implementation(libs.camera.camera2)
    implementation(libs.camera.view)
    "litertImplementation"(libs.litert.core)
    "litertImplementation"(libs.litert.gpu) // without it the GPU is not there
    "mediapipeImplementation"(libs.mediapipe)
}
