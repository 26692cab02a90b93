"""Settings files: what is accepted, and that every complaint says where and what would be right."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import ConfigError
from qc.settings import load_line, load_recipes
from qc.settings.reference import reference

ROOT = Path(__file__).resolve().parents[3]
LINE = (ROOT / "configs" / "line.toml").read_text()
RECIPE = """
variant = "cell"
model = "m1"
review_at = 0.4
reject_at = 0.6
"""


def line(tmp_path: Path, text: str = LINE, environ: dict[str, str] | None = None):
    path = tmp_path / "line.toml"
    path.write_text(text)
    return load_line(path, environ or {})


def recipes(tmp_path: Path, *texts: str):
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.toml").write_text(text)
    return load_recipes(tmp_path)


def test_every_shipped_file_loads() -> None:
    settings = load_line(ROOT / "configs" / "line.toml", {})
    shipped = load_recipes(settings.recipes.directory)
    assert settings.recipes.active in shipped
    assert len(shipped) == len(list((ROOT / "configs" / "recipes").glob("*.toml")))


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    assert line(tmp_path).recipes.directory == tmp_path / "recipes"
    assert line(tmp_path).models.directory == tmp_path.parent / "models"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[mqtt]\nhost", "[mqtt]\nhots", ["line.toml: mqtt.hots: unknown key", "did you mean 'host'?", "keepalive_s"]),
        ("rate_hz = 5", "rate = 5", []),
        ('kind = "each_frame"', 'kind = "free_run"', ["cameras.0.trigger.rate_hz: missing"]),
        (
            'kind = "each_frame"',
            'kind = "free_run", rate = 5',
            ["cameras.0.trigger.rate: unknown key", "did you mean 'rate_hz'?"],
        ),
        ('kind = "folder"', 'kind = "foldr"', ["cameras.0.source", "'folder'"]),
        ("port = 1883", 'port = "1883"', ["mqtt.port", "valid integer", "'1883'"]),
        ("port = 1883", "port = 70000", ["mqtt.port", "65535"]),
        ("ok_share = 0.02", "ok_share = 2", ["storage.ok_share", "less than or equal to 1"]),
        ("ok_share = 0.02", "ok_share = nan", ["storage.ok_share"]),
        ('site = "plant1"', 'site = "Plant/1"', ["edge.site", "pattern"]),
        ('timezone = "Europe/Berlin"', 'timezone = "Europe/Berln"', ["sampling.timezone", "IANA"]),
        ('host = "127.0.0.1"\nport = 8080', 'host = "0.0.0.0"\nport = 8080', ["http", "behind_proxy"]),
        ("[logging]", "[loging]", ["loging: unknown key", "did you mean 'logging'?"]),
        ("[edge]", "[edge", ["not valid TOML"]),
    ],
)
def test_a_mistake_is_named_with_file_key_and_remedy(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in LINE
    if not words:
        line(tmp_path, LINE.replace(old, new))  # inside a comment: no mistake
        return
    with pytest.raises(ConfigError) as caught:
        line(tmp_path, LINE.replace(old, new))
    for word in ["line.toml", *words]:
        assert word in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load_line(tmp_path / "nowhere.toml", {})


def test_secrets_come_from_environment_file_or_credential_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "mqtt_password").write_text("from-credential\n")
    (tmp_path / "secret").write_text("from-file\n")
    assert line(tmp_path, environ={"QC_MQTT_PASSWORD": "from-env"}).mqtt.password.get_secret_value() == "from-env"
    from_file = line(tmp_path, environ={"QC_MQTT_PASSWORD_FILE": str(tmp_path / "secret")})
    assert from_file.mqtt.password.get_secret_value() == "from-file"
    settings = line(tmp_path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.mqtt.password.get_secret_value() == "from-credential"
    assert "from-credential" not in repr(settings) + settings.model_dump_json()
    with pytest.raises(ConfigError, match="QC_MQTT_PASSWORD_FILE"):
        line(tmp_path, environ={"QC_MQTT_PASSWORD_FILE": str(tmp_path / "absent")})


def test_a_password_in_the_file_is_refused_by_url_check(tmp_path: Path) -> None:
    text = LINE.replace(
        '{ kind = "folder", path = "../var/incoming", watch = true }', '{ kind = "rtsp", url = "rtsp://u:p@h/s" }'
    )
    with pytest.raises(ConfigError, match="without user name and password"):
        line(tmp_path, text.replace('kind = "each_frame"', 'kind = "command"'))


def test_a_live_camera_cannot_make_every_frame_a_part(tmp_path: Path) -> None:
    text = LINE.replace('{ kind = "folder", path = "../var/incoming", watch = true }', '{ kind = "device", device = 0 }')
    with pytest.raises(ConfigError, match="free_run or command"):
        line(tmp_path, text)


def test_two_cameras_of_one_name_are_refused(tmp_path: Path) -> None:
    camera = LINE[LINE.index("[[cameras]]") : LINE.index("# An RTSP")]
    with pytest.raises(ConfigError, match="used twice: cam1"):
        line(tmp_path, LINE.replace("[models]", camera + "\n[models]"))


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("reject_att = 1", ["unknown key", "'reject_at'"]),
        ("roi = [[0, 0], [1, 1]]", ["roi", "at least 3"]),
        ("roi = [[0, 0], [1, 1], [0.5, 0.5]]", ["roi", "no area"]),
        ("roi = [[0, 0], [1, 0], [1, 2]]", ["roi.2.1", "less than or equal to 1"]),
        ("ignore = [[[0, 0], [0, 0], [0, 0]]]", ["ignore", "no area"]),
        ("[halt]\nrun_rejects = 1", ["halt", "between 2 and run_parts"]),
        ("[halt]\nrun_reject = 3", ["halt.run_reject", "'run_rejects'"]),
        ("deadline_ms = 0", ["deadline_ms", "greater than 0"]),
    ],
)
def test_a_recipe_mistake_is_named(tmp_path: Path, extra: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        recipes(tmp_path, RECIPE + extra)
    for word in ["0.toml", *words]:
        assert word in str(caught.value)


def test_thresholds_out_of_order_and_double_variants_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must not exceed reject_at"):
        recipes(tmp_path, RECIPE.replace("0.4", "0.9"))
    with pytest.raises(ConfigError, match=r"already defined in .*0\.toml"):
        recipes(tmp_path, RECIPE, RECIPE)


@given(review=st.floats(0, 1), reject=st.floats(0, 1), area=st.floats(0, 1), parts=st.integers(2, 50))
def test_what_is_written_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, review: float, reject: float, area: float, parts: int
) -> None:
    folder = tmp_path_factory.mktemp("recipes")
    review, reject = sorted((review, reject))
    text = f'variant = "v"\nmodel = "m"\nreview_at = {review!r}\nreject_at = {reject!r}\nmin_defect_area = {area!r}\n'
    recipe = recipes(folder, text + f"[halt]\nrun_rejects = 2\nrun_parts = {parts}\n")["v"]
    assert (recipe.review_at, recipe.reject_at, recipe.min_defect_area) == (review, reject, area)
    assert recipe.halt.run_parts == parts


@given(st.binary(max_size=300))
def test_garbage_is_a_config_error(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "line.toml"
    path.write_bytes(garbage)
    with pytest.raises(ConfigError, match=r"line\.toml"):
        load_line(path, {})


def test_the_committed_reference_is_current() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert page == reference(), "run: python tools/make_config_reference.py"
