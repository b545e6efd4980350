"""What tests of an agent and of a store backend need; shipped, so that yours can use it too."""
