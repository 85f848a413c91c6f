"""Words: the vocabulary of scenes, and what its colours, places and sizes mean in numbers. As models/score/words.go."""

COLORS = {
    "red": (220, 40, 40), "orange": (245, 140, 30), "yellow": (250, 220, 50), "green": (40, 160, 70),
    "blue": (40, 90, 215), "purple": (130, 50, 170), "pink": (250, 140, 190), "brown": (120, 72, 40),
    "white": (250, 250, 250), "black": (25, 25, 25),
}
BACKGROUND_COLORS = COLORS | {"gray": (150, 150, 150)}
PAPER = (228, 228, 224)  # behind the shapes where no background is named
SHAPES = ["circle", "square", "triangle", "star", "ring", "heart", "diamond", "cross"]
LANDS = ["sky", "sea", "hills"]
TIMES = ["day", "night", "sunset"]

# Pairs that no training picture shows: prompts that name one test unseen combinations.
UNSEEN_PAIRS = {
    ("purple", "star"), ("green", "heart"), ("red", "ring"), ("yellow", "diamond"),
    ("blue", "cross"), ("orange", "triangle"), ("white", "square"), ("pink", "circle"),
}

# Where one shape is asked to be: centre as a share of width and height.
PLACES = {
    "left": (.27, .5), "right": (.73, .5), "top": (.5, .27), "bottom": (.5, .73), "middle": (.5, .5),
    "top left": (.27, .27), "top right": (.73, .27), "bottom left": (.27, .73), "bottom right": (.73, .73),
}
# Where two shapes are when the first is left of / right of / above / below the second.
RELATIONS = {
    "left": [(.27, .5), (.73, .5)], "right": [(.73, .5), (.27, .5)],
    "above": [(.5, .27), (.5, .73)], "below": [(.5, .73), (.5, .27)],
}
ROW = [(.18, .5), (.5, .5), (.82, .5)]  # three shapes

# Radius as a share of the width, by the number of shapes and the size word ("" where none is said).
RADII = {
    1: {"small": (.13, .15), "": (.19, .22), "large": (.27, .31)},
    2: {"small": (.13, .14), "": (.165, .18), "large": (.21, .23)},
    3: {"": (.13, .14)},
}
