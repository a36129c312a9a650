"""What things cost and what-if: prices with source and date, a run's bill explained, comparisons and break-evens."""

from course_lib.finops.prices.amounts import exact, in_cents
from course_lib.finops.prices.bill import Bill, BillLine, StorageUse, TransferUse, explain_bill
from course_lib.finops.prices.blocks import BlockOffer, ask_blocks
from course_lib.finops.prices.commitments import BlockUse, CapacityBlock, Commitment, block_days, commitment
from course_lib.finops.prices.comparison import Alternative, compare_instances
from course_lib.finops.prices.errors import PriceError, PriceUnknownError
from course_lib.finops.prices.live import PRICING_ENDPOINTS, RATES, ask_on_demand, ask_rate, ask_spot
from course_lib.finops.prices.nights import NightChoice, stop_or_keep
from course_lib.finops.prices.price_files import PriceFile, read_price_file, write_price_file
from course_lib.finops.prices.price_list import Product, read_product
from course_lib.finops.prices.quotes import STALE_AFTER_DAYS, Quote, given_price, price_of, warnings_of
from course_lib.finops.prices.rates import Rate, Tier, flat_rate, listed_rate
from course_lib.finops.prices.refresh import Fetched, fetch_prices
from course_lib.finops.prices.spot_price import SpotBreakEven, spot_against_on_demand
from course_lib.finops.prices.times import RunTimes, expected_times, measured_times

__all__ = [
    "PRICING_ENDPOINTS",
    "RATES",
    "STALE_AFTER_DAYS",
    "Alternative",
    "Bill",
    "BillLine",
    "BlockOffer",
    "BlockUse",
    "CapacityBlock",
    "Commitment",
    "Fetched",
    "NightChoice",
    "PriceError",
    "PriceFile",
    "PriceUnknownError",
    "Product",
    "Quote",
    "Rate",
    "RunTimes",
    "SpotBreakEven",
    "StorageUse",
    "Tier",
    "TransferUse",
    "ask_blocks",
    "ask_on_demand",
    "ask_rate",
    "ask_spot",
    "block_days",
    "commitment",
    "compare_instances",
    "exact",
    "expected_times",
    "explain_bill",
    "fetch_prices",
    "flat_rate",
    "given_price",
    "in_cents",
    "listed_rate",
    "measured_times",
    "price_of",
    "read_price_file",
    "read_product",
    "spot_against_on_demand",
    "stop_or_keep",
    "warnings_of",
    "write_price_file",
]
