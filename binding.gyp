{
  "targets": [
    {
      "target_name": "kagemusha_native",
      "sources": [
        "<!@(ls native/engine/*.cc)",
        "<!@(ls native/addon/*.cc)"
      ],
      # The third: a wake-up that waits while Node ends cannot call JavaScript any more, and must not abort the process.
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags!": ["-fno-exceptions", "-O3"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-O3", "-Wno-unused-parameter"],
      "cflags_cc": [
        "-std=c++20",
        "-O2",
        "-fexceptions",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"
      ]
    }
  ]
}
