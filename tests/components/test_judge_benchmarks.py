import dataclasses
import subprocess
import sys

import pytest

from components.judge import benchmarks, protocols, results


def test_every_figure_is_whole():
    rows = benchmarks.all_benchmarks().values()
    assert len(rows) >= 400
    for row in rows:
        assert row.unit in results.SCALES, row.id
        assert row.metric in results.METRICS, row.id
        assert all((row.paper, row.table, row.model, row.data, row.split)), row.id
        assert row.verified in benchmarks.VERIFIED, row.id
        assert row.note or row.verified != "differs", f"{row.id} does not say how it differs"
        if row.metric in results.COUNTS:
            assert (row.protocol, row.split) == ("", "none"), row.id
        else:
            models, protocol = protocols.of_each(row.protocol)
            assert protocol in {*protocols.PROTOCOLS, protocols.OTHER}, row.id
            assert models == 1 or protocol != protocols.OTHER, row.id


def test_a_row_that_does_not_say_whether_it_is_verified_is_refused(tmp_path, monkeypatch):
    fields = [field.name for field in dataclasses.fields(benchmarks.Benchmark)]
    row = dict.fromkeys(fields, "1") | {"id": "zhang1990-net"}
    monkeypatch.setattr(benchmarks.resources, "files", lambda _: tmp_path)
    (tmp_path / "benchmarks").mkdir()
    for verified in ("", "maybe"):
        cells = {**row, "verified": verified}.values()
        table = f"{','.join(fields)}\n{','.join(cells)}\n"
        (tmp_path / "benchmarks" / "digits.csv").write_text(table)
        with pytest.raises(ValueError, match=r"'zhang1990-net' does not say"):
            benchmarks.all_benchmarks.__wrapped__()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lecun1998-linear", 12.0),
        ("lecun1998-knn-deslant", 2.4),
        ("lecun1998-500-150-distortions", 2.45),
        ("lecun1998-lenet1", 1.7),
        ("lecun1998-lenet5", 0.95),
        ("lecun1998-lenet5-distortions", 0.8),
        ("lecun1998-boosted-lenet4-distortions", 0.7),
        ("lecun1998-boosted-lenet4-distortions-rejected", 0.5),
    ],
)
def test_figures_of_lecun_1998(name, value):
    (row,) = benchmarks.find([name])
    assert (row.value, row.unit, row.data) == (value, "%", "mnist")


# A few of each paper and table.
SPOTS = {
    "lecun1998-lenet5-connections": 340_908,
    "lecun1989-parameters": 9_760,
    "ciresan2010-mlp4": 0.35,
    "taigman2014-lfw-unsupervised": 95.92,
    "taigman2014-lfw-restricted": 97.00,
    "ciresan2011b-committee7-best": 0.17,
    "ciresan2012-mnist-mcdnn35": 0.23,
    "ciresan2012-hwdb-offline": 6.5,
    "ciresan2012-cifar10-mcdnn8": 11.21,
    "ciresan2012-gtsrb-mcdnn25": 0.54,
    "gtsrb-competition": 0.56,
    "gtsrb-people": 1.16,
    "wan2013-mnist-crop-rotation-scaling-dropconnect-vote5": 0.21,
    "wan2013-cifar10-dropconnect-vote12": 9.32,
    "wan2013-cifar10-quoted": 9.3,
    "zeiler2013-cifar10-stochastic": 15.13,
    "zeiler2013-svhn-64-64-128-stochastic": 2.80,
    "goodfellow2013-cifar10-augmented": 9.38,
    "krizhevsky2012-ilsvrc2010-top1": 37.5,
    "krizhevsky2012-ilsvrc2010-centre-top5": 18.3,
    "krizhevsky2012-1cnn-top5": 18.2,
    "krizhevsky2012-units": 650,
    "krizhevsky2012-images-per-second": 100,
    "krizhevsky2012-speedup": 50,
    "krizhevsky2012-5cnns-top1": 38.1,
    "krizhevsky2012-7cnns-test-top5": 15.3,
    "zeiler2014-alexnet-top5": 18.1,
    "zeiler2014-alexnet-no3467-top1": 71.3,
    "zeiler2014-alexnet-no3467-increase": 33.5,
    "zeiler2014-alexnet-layer7-parameters": 16,
    "zeiler2014-zfnet-wide-train-top1": 18.8,
    "zeiler2014-6zfnets-test-top5": 14.8,
    "sermanet2014-accurate-4-scales-top5": 14.18,
    "sermanet2014-7-accurate-4-scales-top1": 33.96,
    "sermanet2014-accurate-parameters": 144,
    "sermanet2014-loc-test": 29.9,
    "sermanet2014-det": 24.3,
    "girshick2014-voc2010-dpm": 33.4,
    "girshick2014-voc2010-uva": 35.1,
    "girshick2014-voc2010-r-cnn-bb": 53.7,
    "girshick2014-voc2012-r-cnn-bb": 53.3,
    "girshick2014-voc2007-fc6": 46.2,
    "girshick2014-voc2007-ft-fc7": 54.2,
    "girshick2014-voc2007-ft-fc7-bb": 58.5,
    "girshick2014-voc2011-test": 47.9,
    "girshick2014-ilsvrc2013-r-cnn-bb": 31.4,
    "girshick2015-voc2007-07-12": 70.0,
    "girshick2015-voc2010-12": 66.1,
    "girshick2015-voc2012-07-12": 68.4,
    "girshick2015-l-svd-speedup": 213,
    "girshick2015-l-no-boxes": 63.4,
    "girshick2015-coco-ap": 19.7,
    "ren2015-zf-shared": 59.9,
    "ren2015-vgg16-07-12": 73.2,
    "ren2015-voc2012-vgg16-07-12": 70.4,
    "ren2015-vgg16-seconds": 0.198,
    "ren2015-coco-val-ap": 21.2,
    "he2015b-voc2007-resnet101": 76.4,
    "he2015b-coco-resnet101-ap": 27.2,
    "he2015b-coco-ensemble-test-ap": 37.4,
    "he2015b-det-ensemble-test": 62.1,
    "he2015b-loc-ensemble-test": 9.0,
    "taigman2014-lfw-restricted-ensemble": 97.15,
    "taigman2014-ytf-deepface": 91.4,
    "simonyan2014-e-parameters": 144,
    "simonyan2014-a-256-dense-top1": 29.6,
    "simonyan2014-b-5x5-increase": 7,
    "simonyan2014-e-384-dense-top1": 26.9,
    "simonyan2014-d-jitter-dense3-top5": 7.5,
    "simonyan2014-e-jitter-150crop-dense-top5": 7.1,
    "simonyan2014-de-150crop-dense-test-top5": 6.8,
    "szegedy2014-5b-parameters": 1388,
    "szegedy2014-3b-multiply-adds": 304,
    "szegedy2014-1net-1crop-top5": 10.07,
    "szegedy2014-1net-144crops-top5": 7.89,
    "szegedy2014-7nets-144crops-top5": 6.67,
    "ioffe2015-inception-steps": 31.0,
    "ioffe2015-inception-x5-diverges": 1,
    "ioffe2015-inception-sigmoid-accuracy": 0.1,
    "ioffe2015-bn-baseline-steps": 13.3,
    "ioffe2015-bn-x30-steps": 2.7,
    "ioffe2015-bn-x5-sigmoid-accuracy": 69.8,
    "ioffe2015-6nets-top5": 4.9,
    "ioffe2015-6nets-test-top5": 4.82,
    "he2015a-small-relu-top1": 33.82,
    "he2015a-small-relu-top5": 13.34,
    "he2015a-a-prelu-384-top1": 24.20,
    "he2015a-c-prelu-multiscale-top5": 5.71,
    "he2015a-6models-test-top5": 4.94,
    "he2015b-resnet152-multiply-adds": 11.3,
    "he2015b-resnet18-10crop-top1": 27.88,
    "he2015b-resnet50-10crop-top1": 22.85,
    "he2015b-resnet152-multiscale-top5": 4.49,
    "he2015b-6nets-test-top5": 3.57,
    "he2015b-cifar-resnet110": 6.43,
    "he2015b-cifar-resnet1202-parameters": 19.4,
    "srivastava2015-cifar10-highway2": 92.46,
    "eigen2014-nyu-mean-abs_rel": 0.408,
    "eigen2014-nyu-make3d-sqr_rel": 0.492,
    "eigen2014-nyu-karsch2014-rms": 1.2,
    "eigen2014-nyu-coarse-rms": 0.871,
    "eigen2014-nyu-fine-rms": 0.907,
    "eigen2014-nyu-fine-rms_log_scale_invariant": 0.219,
    "eigen2014-kitti-mean-rms": 9.635,
    "eigen2014-kitti-coarse-sqr_rel": 1.531,
    "eigen2014-kitti-fine-threshold_1.25": 0.692,
    "eigen2015-baig2015-rms_log_scale_invariant": 0.242,
    "eigen2015-liu2015-rms": 0.824,
    "eigen2015-alexnet-rms": 0.753,
    "eigen2015-vgg-abs_rel": 0.158,
    "eigen2015-ladicky-3dp-angle_median": 31.2,
    "eigen2015-ladicky-vgg-within_22.5": 67.2,
    "eigen2015-toolbox-wang2015-within_11.25": 35.2,
    "eigen2015-toolbox-alexnet-angle_mean": 25.9,
    "eigen2015-table6-depth-scale2": 0.29,
    "eigen2015-table6-normals-scales12": 26.1,
    "eigen2015-table6-13-classes-rgbdn-scales123": 70.5,
}


def test_figures_of_every_paper():
    found = {row.id: row.value for row in benchmarks.find(SPOTS)}
    assert found == SPOTS


def test_who_improves_on_whom():
    """Orders that the papers themselves state: a slip of the pen would break one."""
    value = {name: row.value for name, row in benchmarks.all_benchmarks().items()}

    def falls(*names):
        figures = [value[name] for name in names]
        return figures == sorted(figures, reverse=True)

    assert falls(*(f"he2015b-cifar-resnet{n}" for n in (20, 32, 44, 56, 110)))
    for metric in ("top1", "top5"):
        deeper = ("34c", "50", "101", "152")
        assert falls(*(f"he2015b-resnet{n}-10crop-{metric}" for n in deeper))
        assert falls(*(f"he2015b-resnet{n}-multiscale-{metric}" for n in deeper))
        for net in ("a-relu", "a-prelu", "b-prelu", "c-prelu"):
            assert falls(f"he2015a-{net}-10crop-{metric}", f"he2015a-{net}-multiscale-{metric}")
        for net in ("d", "e"):
            ways = ("dense3", "150crop", "150crop-dense")
            assert falls(*(f"simonyan2014-{net}-jitter-{way}-{metric}" for way in ways))
            for scale in ("256", "384", "jitter"):
                one, three = (f"simonyan2014-{net}-{scale}-{way}" for way in ("dense", "dense3"))
                assert falls(f"{one}-{metric}", f"{three}-{metric}")
    for metric in ("abs_rel", "sqr_rel", "rms", "rms_log", "rms_log_scale_invariant"):
        assert falls(*(f"eigen2015-{net}-{metric}" for net in ("eigen2014", "alexnet", "vgg")))
        assert falls(*(f"eigen2014-kitti-{net}-{metric}" for net in ("mean", "coarse", "fine")))
    for net in ("nyu-coarse", "nyu-fine", "kitti-coarse", "kitti-fine"):
        assert falls(*(f"eigen2014-{net}-threshold_1.25{power}" for power in ("^3", "^2", "")))
    assert value["eigen2015-table6-depth-scales123"] == value["eigen2015-alexnet-abs_rel"]
    for crops in ("1crop", "10crops", "144crops"):
        assert falls(f"szegedy2014-1net-{crops}-top5", f"szegedy2014-7nets-{crops}-top5")


def test_an_ensemble_says_how_many_models():
    (row,) = benchmarks.find(["szegedy2014-7nets-144crops-top5"])
    assert protocols.of_each(row.protocol) == (7, "144-crop")


def test_what_no_protocol_of_ours_measures_never_compares():
    row = _compared({"dataset": "gtsrb", "size": "paper"}, "other", {"error": 0.01}, "gtsrb-people")
    assert row["why"] == "the paper's protocol is none of ours"


def test_what_was_trained_or_tested_differently_says_so():
    for row in benchmarks.all_benchmarks().values():
        if "distortions" in row.id:
            assert "trained with distortions" in row.note
        if "deslant" in row.id:
            assert "deslanted" in row.note


def test_an_unknown_figure_names_the_near_ones():
    with pytest.raises(KeyError, match="did you mean lecun1998-lenet5"):
        benchmarks.find(["lecun1998-lenet5", "lecun1998-lenet-5"])
    with pytest.raises(KeyError, match=r"none of the \d+ known is like it"):
        benchmarks.find(["zzz"])


def test_an_unknown_protocol_names_the_near_ones():
    with pytest.raises(KeyError, match=r"'1-crops': did you mean 1-crop or 10-crop or"):
        protocols.find("1-crops")
    with pytest.raises(KeyError, match="known: 1-crop, 10-crop, "):
        protocols.find("zzz")


def _mnist(**changes):
    return {"dataset": "mnist", "size": "small", "full_data": True, **changes}


def _compared(recipe, protocol="1-crop", metrics=None, name="lecun1998-lenet5"):
    (row,) = benchmarks.find([name])
    return results.compare(row, metrics or {"error": 0.0101}, recipe, protocol)


def test_same_data_and_protocol_compare():
    row = _compared(_mnist())
    assert row["comparable"] and row["why"] == ""
    assert row["paper_value"] == 0.95
    assert row["ours"] == pytest.approx(1.01)
    assert row["difference"] == pytest.approx(0.06)
    assert results.row_text(row) == {
        "metric": "error",
        "paper": "0.95 %",
        "ours": "1.01 %",
        "difference": "+0.06",
    }


def test_figures_that_are_no_percentages_are_compared_with_three_decimals():
    nyu = {"dataset": "tfds:nyu_depth_v2", "size": "paper"}
    row = _compared(nyu, metrics={"abs_rel": 0.16049}, name="eigen2015-vgg-abs_rel")
    assert row["comparable"]
    texts = results.row_text(row)
    assert (texts["paper"], texts["ours"], texts["difference"]) == ("0.158", "0.160", "+0.002")
    row = _compared(nyu, metrics={"rms": 0.7}, name="eigen2015-vgg-rms")
    assert results.row_text(row)["ours"] == "0.700 m"


@pytest.mark.parametrize(
    ("recipe", "protocol", "why"),
    [
        (_mnist(full_data=False), "1-crop", "the small size uses a part of mnist only"),
        ({"dataset": "mnist", "size": "small"}, "1-crop", "uses a part of mnist only"),
        (_mnist(dataset="photos"), "1-crop", "other data: the paper's is mnist, ours photos"),
        (_mnist(), "10-crop", "other protocol: the paper's is 1-crop, ours 10-crop"),
        (_mnist(), "2 x 1-crop", "other protocol: the paper's is 1-crop, ours 2 x 1-crop"),
        (_mnist(deviations=["classifier=softmax instead of rbf"]), "1-crop", "classifier=softmax"),
    ],
)
def test_what_does_not_compare_says_why(recipe, protocol, why):
    row = _compared(recipe, protocol)
    assert not row["comparable"]
    assert why in row["why"]
    assert results.row_text(row)["difference"] == "–"


def test_paper_size_compares():
    assert _compared({"dataset": "mnist", "size": "paper"})["comparable"]


def test_where_the_data_comes_from_is_no_matter():
    assert _compared(_mnist(dataset="tfds:mnist"))["comparable"]
    assert _compared(_mnist(dataset="tfds:mnist:3.0.1"))["comparable"]
    assert not _compared(_mnist(dataset="/data/mnist"))["comparable"]


def _imagenet(dataset="tfds:imagenet2012", name="krizhevsky2012-1cnn-top5"):
    recipe = {"dataset": dataset, "size": "paper", "full_data": True}
    measured = {"error": 0.41, "accuracy": 0.59, "top5_error": 0.18}
    return _compared(recipe, "10-crop", measured, name)


def test_the_validation_images_stand_for_the_test_of_imagenet():
    row = _imagenet()
    assert (row["comparable"], row["split"]) == (True, "validation")
    assert row["ours"] == pytest.approx(18.0)
    # The figure on the real test images, whose labels nobody has.
    hidden = _imagenet(name="krizhevsky2012-5cnns-test-top5")
    assert (hidden["ours"], hidden["comparable"]) == (None, False)


def test_a_small_run_is_not_comparable_with_imagenet():
    row = _imagenet("cifar10")
    assert not row["comparable"]
    assert "other data: the paper's is imagenet2012, ours cifar10" in row["why"]
    assert results.row_text(row)["difference"] == "–"


def test_an_accuracy_is_what_the_error_leaves():
    row = _imagenet(name="ioffe2015-bn-x30-accuracy")
    assert (row["paper_value"], row["unit"]) == (74.8, "%")
    assert row["ours"] == pytest.approx(59.0)


def test_figures_keep_all_their_digits():
    assert results.figure_text(60965224.0, "") == "60,965,224"
    assert results.figure_text(0.35, "%") == "0.35 %"
    assert results.figure_text(13.3, "M") == "13.3 M"


def test_a_metric_that_was_not_measured_has_no_difference():
    row = _compared(_mnist(), name="lecun1998-lenet5-train")
    assert (row["ours"], row["difference"], row["comparable"]) == (None, None, False)
    assert row["why"] == "error was not measured on the train split"
    assert results.row_text(row)["ours"] == "–"


def test_judged_table_keeps_rows_of_one_figure_together():
    runs = [
        {
            "recipe": name,
            "size": "small",
            "dataset": "mnist",
            "examples": 10_000,
            "rows": [_compared(_mnist(), name=figure) for figure in figures],
        }
        for name, figures in (
            ("lenet", ["lecun1998-lenet5", "lecun1998-linear"]),
            ("lenet-relu", ["lecun1998-lenet5"]),
        )
    ]
    rows = results.judged_table(runs)
    assert [(row["id"], row["recipe"]) for row in rows] == [
        ("lecun1998-lenet5", "lenet"),
        ("lecun1998-lenet5", "lenet-relu"),
        ("lecun1998-linear", "lenet"),
    ]
    assert rows[0]["examples"] == 10_000
    assert results.judged_table([]) == []


def test_tables_are_read_without_tensorflow():
    """The command line shows them, and has to answer at once."""
    code = (
        "import sys; from components.judge import benchmarks, protocols, results;"
        "from components import progress; benchmarks.all_benchmarks();"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("mnist", "mnist"),
        ("tfds:caltech101:3.0.1", "caltech101"),
        ("256_ObjectCategories", "caltech256"),
        ("/mnt/256_ObjectCategories/", "caltech256"),
        ("/mnt/lfw", "lfw"),
        # Its pictures, and pairs of our own.
        ("tfds:lfw", "tfds-lfw"),
        ("/mnt/photos", "/mnt/photos"),
    ],
)
def test_data_have_the_name_that_they_have_in_the_tables(dataset, name):
    assert results.data_name(dataset) == name
