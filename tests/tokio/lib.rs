//! Nothing: only the test in this folder needs a runtime.
