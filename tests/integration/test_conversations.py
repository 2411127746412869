"""The golden conversations of tests/http/, each byte for byte as written there."""

import conversation
import harness


class Conversations(harness.FathomCase):
    functions = ["echo", "report"]


def add(path):
    def test(self):
        conversation.hold(path, self.fathom)

    test.__doc__ = path.name
    setattr(Conversations, f"test_{path.stem}", test)


for path in sorted((harness.ROOT / "tests/http").glob("*.http")):
    add(path)
