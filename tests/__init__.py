"""Everything that proves hostwright: packages, so that tests of the same name may live side by side."""
