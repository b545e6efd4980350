"""The newcomer's demo: real recorded runs, replayed through the public interface, and what Burnish makes of them."""
