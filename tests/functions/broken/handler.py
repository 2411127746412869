raise RuntimeError("this handler is broken on purpose")
