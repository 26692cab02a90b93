"""Write docs/configuration.md from the settings types. A test holds the committed page against them."""

from pathlib import Path

from qc.settings.reference import reference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(PAGE.parents[1])}")
