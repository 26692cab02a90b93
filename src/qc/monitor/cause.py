"""Why did it move? One cause with its evidence, and for every other cause what speaks for or against it.

Looked at in this order; the first that fits is named:

    camera fault      the camera could not deliver a share of the latest parts
    environment       picture quality moved (light, focus, noise, colour), and not only of rejected parts that look like none before
    new appearance    the accepted parts, or those rejected, look like none before to the model; picture quality of accepted parts did not move
    (threshold)       decisions differ from those of the reference's threshold on the same scores: named model decay
    process change    labels find more (or fewer) defects among the rejects and not more good parts, or only high scores became more (or
                      less) frequent, and labels do not say that DR fell
    model decay       labels say so (DR, FPR, false rejects), or the decisions moved, while pictures and parts did not move
    unknown           none of these, or the inputs are not watched yet

The order is that of explanations: a darker picture also moves scores, embeddings and reject rate; a new variant does not
move the brightness. A hint by rules, measured in docs/monitoring.md, not a proof.
"""

from dataclasses import dataclass

from qc.domain.alarm import Cause

FAULTY_SHARE = 0.02
"""Camera faults among the latest parts that count as the cause."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known when the question is asked. *_moved: see ``InputWatch.moved``; *_text: a sentence with the numbers."""

    watched: bool
    faulty_share: float = 0.0
    quality_moved: bool = False
    quality_text: str = ""
    accepted_pictures_as_before: bool = False
    """See ``InputWatch``: those of parts that would have been accepted before did not move."""
    embedding_moved: bool = False
    rejects_unlike: bool = False
    """More than a third of the latest rejects look like none of the reference, see ``novelty``."""
    rejects_text: str = ""
    score_moved: bool = False
    score_text: str = ""
    only_high_scores: bool = False
    """See ``score_move``."""
    high_scores_text: str = ""
    threshold_text: str = ""
    """Not empty: another threshold than the reference's explains the decisions, see ``InputWatch.threshold_effect``."""
    reject_rate_moved: bool = False
    rejects_rose: bool = True
    defects_moved: bool = False
    """Labels: more (or fewer) of the parts are rejected defects, and false rejects did not move that way, see ``label_shift``."""
    false_rejects_rose: bool = False
    labels_text: str = ""
    prevalence_moved: bool = False
    detection_fell: bool = False
    false_positives_rose: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    cause: Cause
    evidence: tuple[tuple[str, str], ...]
    """(cause, sentence) pairs in the order above."""


def diagnose(found: Findings) -> Diagnosis:
    """Name the cause."""
    evidence = _evidence(found)
    return Diagnosis(_cause(found), tuple((cause.value, text) for cause, text in evidence))


def _cause(found: Findings) -> Cause:
    labels_say_so = found.detection_fell or found.false_positives_rose
    model_by_labels = found.false_positives_rose or found.false_rejects_rose
    process = found.prevalence_moved or found.defects_moved or (found.only_high_scores and not model_by_labels)
    rules = (
        (found.faulty_share >= FAULTY_SHARE, Cause.CAMERA_FAULT),
        (not found.watched and not labels_say_so, Cause.UNKNOWN),
        (found.quality_moved and not _only_of_new_parts(found), Cause.ENVIRONMENT),
        (bool(found.threshold_text), Cause.MODEL_DECAY),
        (found.embedding_moved or found.rejects_unlike, Cause.NEW_APPEARANCE),
        (process and not found.detection_fell, Cause.PROCESS_CHANGE),
        (found.watched and (labels_say_so or model_by_labels), Cause.MODEL_DECAY),
        (found.reject_rate_moved or (found.score_moved and not found.only_high_scores), Cause.MODEL_DECAY),
    )
    return next((cause for applies, cause in rules if applies), Cause.UNKNOWN)


def _only_of_new_parts(found: Findings) -> bool:
    """A product of another colour or texture moves the pictures too, but only its own, and it is rejected as a whole."""
    return found.rejects_unlike and found.accepted_pictures_as_before


def _evidence(found: Findings) -> list[tuple[Cause, str]]:
    if found.faulty_share > 0:
        camera = f"{100 * found.faulty_share:.1f} % of the latest parts had a camera fault"
    else:
        camera = "the camera delivered every one of the latest parts"
    if not found.watched:
        learning = "the reference of normal parts is still being collected"
        return [(Cause.CAMERA_FAULT, camera), (Cause.ENVIRONMENT, learning), *_labels(found)]
    return [
        (Cause.CAMERA_FAULT, camera),
        (
            Cause.ENVIRONMENT,
            (found.quality_text or ("picture quality moved" if found.quality_moved else "picture quality did not move"))
            + (", but not of accepted parts" if found.quality_moved and found.accepted_pictures_as_before else ""),
        ),
        (
            Cause.NEW_APPEARANCE,
            (
                "accepted parts look different to the model"
                if found.embedding_moved
                else "accepted parts look as before to the model"
            )
            + (f"; {found.rejects_text}" if found.rejects_text else ""),
        ),
        *_labels(found),
    ]


def _labels(found: Findings) -> list[tuple[Cause, str]]:
    process = (
        "labels find more defective parts than the bound" if found.prevalence_moved else "labels do not find more defective parts"
    )
    if found.defects_moved:
        process = f"labels: {found.labels_text}"
    if found.high_scores_text:
        process += f"; {found.high_scores_text}"
    said = [
        text
        for moved, text in (
            (bool(found.threshold_text), found.threshold_text),
            (found.detection_fell, "labels say that defects are missed"),
            (found.false_positives_rose, "labels say that good parts are rejected"),
            (found.false_rejects_rose and not found.defects_moved, f"labels: {found.labels_text}"),
            (found.reject_rate_moved, f"the reject rate {'rose' if found.rejects_rose else 'fell'}"),
            (found.score_moved, found.score_text or "the scores moved"),
        )
        if moved
    ]
    decay = "; ".join(said) if said else "neither labels nor decisions nor scores say so"
    return [(Cause.PROCESS_CHANGE, process), (Cause.MODEL_DECAY, decay)]
