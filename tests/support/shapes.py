"""Names of layers -> the tensors that they are made of, and the shapes of these."""

Shapes = dict[str, tuple[int, ...]]


def linear(at: str, wide: int, out: int) -> Shapes:
    return {f"{at}.weight": (out, wide), f"{at}.bias": (out,)}


def norm(at: str, wide: int) -> Shapes:
    return {f"{at}.weight": (wide,), f"{at}.bias": (wide,)}
