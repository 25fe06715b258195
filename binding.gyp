{
  "targets": [
    {
      "target_name": "kagemusha_native",
      "sources": [
        "<!@(ls native/engine/*.cc)",
        "<!@(ls native/addon/*.cc)"
      ],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"],
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
