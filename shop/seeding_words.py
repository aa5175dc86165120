"""What a made-up catalogue is made of: 17 kinds of goods, and the words they are described with."""

from dataclasses import dataclass

CLOTHES = ("XS", "S", "M", "L", "XL", "XXL")
COLOURS = {  # as the drawings paint them
    "black": (38, 38, 42),
    "white": (244, 242, 236),
    "grey": (140, 144, 150),
    "navy": (31, 45, 92),
    "sky": (108, 172, 222),
    "teal": (22, 122, 124),
    "moss": (94, 116, 62),
    "mint": (150, 208, 178),
    "mustard": (214, 166, 44),
    "orange": (228, 118, 44),
    "brick": (166, 62, 48),
    "rose": (224, 140, 152),
    "plum": (104, 46, 96),
    "sand": (212, 190, 152),
    "walnut": (106, 74, 50),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One category. `weight`: how much of the catalogue it is; prices in cents; `form`: see `silhouettes`; `grows`: by
    how much a variant of the next size costs more."""

    slug: str
    name: str
    description: str
    form: str
    weight: int
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    uses: tuple[str, ...]
    low: int
    high: int
    sizes: tuple[str, ...] = ()
    grows: int = 0


_SHOES = tuple(str(size) for size in range(36, 47))
_COTTONS = ("organic cotton", "combed cotton", "jersey", "linen", "bamboo viscose")
_WOOLS = ("merino", "lambswool", "alpaca", "cashmere blend", "recycled wool")
_LEATHERS = ("leather", "suede", "waxed canvas", "cork", "recycled nylon")

KINDS = (
    Kind(
        "t-shirts",
        "T-shirts",
        "Everyday cotton, plain and printed.",
        "tshirt",
        14,
        ("T-shirt", "Crew Neck Tee", "V-neck Tee", "Longline Tee", "Pocket Tee"),
        _COTTONS,
        ("warm days", "layering", "sport", "travelling light"),
        1_490,
        3_990,
        CLOTHES,
    ),
    Kind(
        "jumpers",
        "Jumpers",
        "Knitted for cold rooms and colder mornings.",
        "jumper",
        9,
        ("Jumper", "Cardigan", "Roll Neck", "Fisherman's Jumper", "Hoodie"),
        _WOOLS,
        ("cold mornings", "the office", "evenings outside", "sailing"),
        3_990,
        14_990,
        CLOTHES,
    ),
    Kind(
        "mugs",
        "Mugs & Cups",
        "Stoneware and porcelain, safe in the dishwasher.",
        "mug",
        7,
        ("Mug", "Espresso Cup", "Tea Cup", "Camping Mug", "Latte Bowl"),
        ("stoneware", "porcelain", "enamel", "earthenware", "glass"),
        ("coffee", "tea", "the desk", "camping"),
        790,
        2_990,
    ),
    Kind(
        "shirts",
        "Shirts",
        "Woven, buttoned, easily ironed.",
        "shirt",
        7,
        ("Shirt", "Oxford Shirt", "Flannel Shirt", "Overshirt", "Short Sleeve Shirt"),
        ("poplin", "oxford cotton", "flannel", "linen", "corduroy"),
        ("work", "weekends", "weddings", "the garden"),
        2_990,
        8_990,
        CLOTHES,
    ),
    Kind(
        "jackets",
        "Jackets",
        "Against wind, rain and frost.",
        "jacket",
        6,
        ("Jacket", "Rain Jacket", "Parka", "Field Jacket", "Windbreaker"),
        ("waxed cotton", "recycled polyester", "softshell", "down", "wool felt"),
        ("rain", "hiking", "cycling", "frost"),
        6_990,
        24_990,
        CLOTHES,
    ),
    Kind(
        "trousers",
        "Trousers",
        "Chinos, jeans and shorts that keep their shape.",
        "trousers",
        8,
        ("Trousers", "Chinos", "Jeans", "Cargo Trousers", "Joggers"),
        ("denim", "twill", "corduroy", "linen", "stretch cotton"),
        ("work", "walking", "cycling", "long evenings"),
        3_490,
        11_990,
        CLOTHES,
    ),
    Kind(
        "dresses",
        "Dresses",
        "From the office to the summer party.",
        "dress",
        6,
        ("Dress", "Wrap Dress", "Shirt Dress", "Summer Dress", "Knitted Dress"),
        ("viscose", "linen", "jersey", "silk blend", "organic cotton"),
        ("summer parties", "the office", "dancing", "travelling"),
        3_990,
        15_990,
        CLOTHES,
    ),
    Kind(
        "shoes",
        "Shoes",
        "Trainers, boots and sandals that can be resoled.",
        "shoe",
        8,
        ("Trainers", "Boots", "Sandals", "Loafers", "Running Shoes"),
        _LEATHERS,
        ("the city", "long walks", "running", "rain"),
        4_990,
        19_990,
        _SHOES,
    ),
    Kind(
        "socks",
        "Socks",
        "In pairs, for now.",
        "sock",
        5,
        ("Socks", "Hiking Socks", "Ankle Socks", "Knee Socks", "Slipper Socks"),
        ("merino", "combed cotton", "bamboo viscose", "alpaca", "recycled cotton"),
        ("hiking", "running", "cold floors", "every day"),
        590,
        2_490,
        ("35-38", "39-42", "43-46"),
    ),
    Kind(
        "hats",
        "Hats & Caps",
        "Shade in summer, warmth in winter.",
        "cap",
        4,
        ("Cap", "Beanie", "Bucket Hat", "Sun Hat", "Trucker Cap"),
        ("merino", "twill", "linen", "corduroy", "recycled polyester"),
        ("sun", "snow", "festivals", "fishing"),
        1_290,
        4_990,
        ("S/M", "L/XL"),
    ),
    Kind(
        "scarves",
        "Scarves",
        "Woven and knitted, long and round.",
        "scarf",
        4,
        ("Scarf", "Shawl", "Snood", "Bandana", "Fan Scarf"),
        _WOOLS,
        ("winter", "the stadium", "flights", "windy days"),
        1_490,
        8_990,
    ),
    Kind(
        "bags",
        "Bags",
        "Carried on a shoulder, a back or a bicycle.",
        "bag",
        6,
        ("Tote Bag", "Backpack", "Messenger Bag", "Weekender", "Bike Pannier"),
        _LEATHERS,
        ("groceries", "the office", "weekends away", "cycling"),
        1_990,
        18_990,
    ),
    Kind(
        "watches",
        "Watches",
        "Quartz and automatic, with straps to change.",
        "watch",
        2,
        ("Watch", "Diver's Watch", "Field Watch", "Chronograph", "Dress Watch"),
        ("steel", "titanium", "bronze", "ceramic", "recycled steel"),
        ("diving", "the office", "travelling", "every day"),
        8_990,
        49_990,
        ("36 mm", "40 mm", "42 mm"),
        1_000,
    ),
    Kind(
        "bottles",
        "Bottles",
        "Tight, tough, and good to drink from.",
        "bottle",
        4,
        ("Bottle", "Thermos Flask", "Water Bottle", "Travel Bottle", "Carafe"),
        ("steel", "glass", "titanium", "tritan", "enamel"),
        ("school", "hiking", "the gym", "the desk"),
        1_290,
        4_990,
        ("350 ml", "500 ml", "750 ml", "1 l"),
        300,
    ),
    Kind(
        "lamps",
        "Lamps",
        "Warm light for desks, shelves and corners.",
        "lamp",
        3,
        ("Table Lamp", "Desk Lamp", "Reading Lamp", "Floor Lamp", "Night Light"),
        ("brass", "oak", "paper", "opal glass", "powder-coated steel"),
        ("reading", "the desk", "the bedside", "dark corners"),
        2_990,
        22_990,
    ),
    Kind(
        "cushions",
        "Cushions",
        "Covers with their fillings.",
        "cushion",
        4,
        ("Cushion", "Floor Cushion", "Bolster", "Seat Pad", "Velvet Cushion"),
        ("velvet", "linen", "wool felt", "organic cotton", "bouclé"),
        ("the sofa", "reading", "the balcony", "guests"),
        1_490,
        6_990,
        ("40 × 40", "50 × 50", "60 × 60"),
        500,
    ),
    Kind(
        "posters",
        "Posters",
        "Printed on heavy paper, sent in a tube.",
        "poster",
        3,
        ("Poster", "Art Print", "Map", "Letterpress Print", "Tour Poster"),
        ("cotton paper", "recycled paper", "matt paper", "rice paper", "canvas"),
        ("the hallway", "the studio", "fans", "white walls"),
        990,
        7_990,
        ("A4", "A3", "A2", "50 × 70"),
        800,
    ),
)

BRANDS = (
    "Aldersund",
    "Bramble & Co",
    "Cormorant",
    "Dunlin",
    "Esker",
    "Fennhaus",
    "Gorse",
    "Halyard",
    "Isobar",
    "Juniper Row",
    "Kestrel Works",
    "Lichen",
    "Marram",
    "Northing",
    "Oxbow",
    "Plover",
)
ADJECTIVES = ("Classic", "Light", "Heavy", "Relaxed", "Slim", "Striped", "Soft", "Rugged", "Simple", "Vintage", "Warm")
NAMES = (
    "Fjord",
    "Harbour",
    "Meadow",
    "Signal",
    "Tundra",
    "Lantern",
    "Orchard",
    "Pebble",
    "Comet",
    "Willow",
    "Anchor",
    "Cinder",
    "Delta",
    "Ember",
    "Glacier",
    "Heron",
    "Ivy",
    "Juno",
    "Kelp",
    "Linden",
    "Mistral",
    "Nimbus",
    "Otter",
    "Prairie",
    "Quarry",
    "Raven",
    "Summit",
    "Thistle",
    "Umber",
    "Verve",
)
ORIGINS = ("Portugal", "Italy", "Poland", "Scotland", "Estonia", "Slovenia", "Germany", "Denmark")
CARES = (
    "wash at 30 degrees",
    "wash by hand",
    "wipe with a damp cloth",
    "air, and brush softly",
    "safe in the dishwasher",
)
OPENINGS = (
    "Made of {material} for {use}.",
    "A {noun} of {material}, at its best when it comes to {use}.",
    "{material}, cut and finished in {origin}: the {noun} for {use}.",
    "The {name} is our answer to {use}: {material}, and nothing that is not needed.",
)
MIDDLES = (
    "{brand} makes it in small runs, so colours differ slightly from one to the next.",
    "The {name} has been in {brand}'s range for years, and was last improved this season.",
    "It was tried out by people who use it daily, and changed until they kept it.",
    "Every seam and edge is finished by hand in {origin}.",
)
CLOSINGS = (
    "To keep it long: {care}.",
    "Care is simple: {care}.",
    "Spare parts can be had for at least ten years; {care}.",
    "It comes in a box of recycled cardboard. One request: {care}.",
)

EVENTS = (
    ("winter-market", "Winter market", "Wool, lamps and everything warm, chosen by the people who pack your parcels."),
    (
        "tour-weekend",
        "Tour weekend",
        "What to wear and to carry when the band comes to town, and the poster afterwards.",
    ),
    (
        "makers-week",
        "Makers' week",
        "Five workshops, five days: how a mug is thrown, a shoe is lasted, a scarf is woven.",
    ),
    (
        "small-flat",
        "The small flat",
        "Forty square metres, and room for all that matters. Our editors moved in and out.",
    ),
    ("last-train", "Stories from the last train", "What travellers had with them, and what they were glad about."),
    ("spring-outside", "Spring outside", "First warm days: jackets without lining, bottles, hats and long walks."),
)
ANNOUNCEMENTS = (
    "Free delivery this week, wherever you are.",
    "Members of the fan club order the tour poster first.",
)
