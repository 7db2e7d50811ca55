"""The Java rules, which Bazel 4 has built in, by the names that its own BUILD files load."""

java_import = native.java_import
java_runtime = native.java_runtime
java_toolchain = native.java_toolchain
