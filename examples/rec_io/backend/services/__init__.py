"""The twelve services; each module has one SERVICE."""
