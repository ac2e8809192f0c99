import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "org.example.classify"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.example.classify"
        minSdk = 28 // ImageDecoder, which turns photographs upright
        targetSdk = 35
        versionCode = 1
        versionName = "1"
    }

    // The files of the bundle itself: the .tflite, its manifest, labels.txt and samples/.
    sourceSets["main"].assets.srcDir("../../model")

    androidResources {
        noCompress += "tflite"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_17)
    }
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:2.1.5")
    implementation("androidx.activity:activity-ktx:1.10.1")
}
