"""The ablation covers the grid and says what it found."""

from xml.etree import ElementTree

from ablation import configurations, plot, table
from spoken_english import STUDENTS
from variants import HEADS, OBJECTIVES, WHOLE


def entries():
    def statistic(mean):
        return {"mean": mean, "interval": [mean - 0.1, mean + 0.1]}

    scores = {"macro_f1": statistic(0.6), "macro_auc": statistic(0.8), "r": statistic(0.81)}
    scores["minus_shipped"] = {"mean": -0.012, "p": 0.4}
    return [
        {"backbones": str(b), "variant": str(v), "proficiency": scores, "fluency": scores} for b, v in configurations()
    ]


def test_every_objective_stands_with_either_head_and_the_shipped_one_first():
    all_of_them = configurations()
    assert all_of_them[0] == (STUDENTS, WHOLE) and len(set(all_of_them)) == len(all_of_them)
    shipped = [v for b, v in all_of_them if b == STUDENTS and v.reading == "A" and not v.biased_cka]
    assert {(v.objective, v.head) for v in shipped} == {(o, h) for o in OBJECTIVES for h in HEADS}


def test_what_changes_one_thing_changes_only_that():
    for backbones, variant in configurations()[1:]:
        if (variant.objective, variant.head) == (WHOLE.objective, WHOLE.head):
            changed = [backbones.speech != STUDENTS.speech, backbones.text != STUDENTS.text]
            assert sum([*changed, variant.reading != "A", variant.biased_cka]) == 1


def test_the_table_has_a_line_and_the_plot_a_point_for_each():
    lines = table(entries()).splitlines()
    assert len(lines) == 2 + len(configurations())
    assert lines[2].startswith("| student+student | dual+cka+balance, experts | 0.600 (0.50 to 0.70) | 0.800 |")
    assert "-0.012, 0.40" in lines[3]
    points = ElementTree.fromstring(plot(entries())).findall("{http://www.w3.org/2000/svg}circle")
    assert len(points) == len(configurations())
