"""What Ethereum's networks are called by number: those on which ether is worth nothing. Whatever is not named here is
taken for real."""

DEVELOPMENT = frozenset({1337, 31337})  # of anvil, Hardhat and Ganache, on one machine; anybody may run another one
TEST_NETWORKS = {17000: "Holesky", 560048: "Hoodi", 11155111: "Sepolia"}  # published, with a coin of no value
