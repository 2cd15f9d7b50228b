"""Jobs in processes: the results of map, in order, and an end in words when a process is killed or the main one is."""
import functools
import os
import signal
import time

import cv2
import numpy as np
import pytest
from processes import is_running, wait_until

from decur.errors import DataError
from decur.parallel import isolated, parallel_map, run_jobs


@pytest.mark.parametrize('workers', [1, 2, 3])
def test_the_results_of_map(workers):
    factor = 3  # a closure: the processes are forked
    assert list(parallel_map(lambda x: factor * x, range(40), workers)) == [3 * x for x in range(40)]
    assert run_jobs(lambda x: -x, [], workers) == []


@pytest.mark.timeout(60)
def test_processes_start_though_opencv_has_used_its_threads():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        cv2.GaussianBlur(np.random.rand(2000, 2000).astype(np.float32), (31, 31), 3)
        blur = functools.partial(cv2.GaussianBlur, ksize=(31, 31), sigmaX=3)
        image = np.ones((500, 500), np.float32)
        assert [np.abs(out - 1).max() < 1e-5 for out in parallel_map(blur, [image] * 5, 2)] == [True] * 5
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(threads)


def test_jobs_are_not_taken_far_ahead():
    taken = []

    def jobs():
        for job in range(100):
            taken.append(job)
            yield job

    results = parallel_map(abs, jobs(), 2)
    next(results)
    assert len(taken) <= 4 * 2
    results.close()


@pytest.mark.parametrize('workers', [1, 2])
def test_an_error_of_a_job_is_the_first_one(workers):
    def fail(x):
        if x >= 3:
            raise DataError(f'no {x}')
        return x

    done = []
    with pytest.raises(DataError, match='no 3'):
        for result in parallel_map(fail, range(10), workers):
            done.append(result)
    assert done == [0, 1, 2]


def test_results_before_a_failing_source_still_come():
    def jobs():
        yield from range(5)
        raise DataError('the archive ends')

    done = []
    with pytest.raises(DataError, match='the archive ends'):
        for result in parallel_map(abs, jobs(), 2):
            done.append(result)
    assert done == list(range(5))


@pytest.mark.parametrize('victim', [0, 7, 19])
def test_a_killed_worker_ends_with_one_line(victim):
    def job(x):
        if x == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    with pytest.raises(DataError, match='a worker process was killed, probably because the memory ran out.*Run the same command again'):
        list(parallel_map(job, range(20), 2))


def test_workers_end_with_a_killed_main_process(tmp_path):
    def job(x):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(.05)

    main = os.fork()
    if main == 0:
        try:
            list(parallel_map(job, range(10000), 2))
        finally:
            os._exit(0)
    try:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2, 60, 'both workers work')
    finally:
        os.kill(main, signal.SIGKILL)
        os.waitpid(main, 0)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: not any(map(is_running, workers)), 60, 'the end of the workers')


def test_isolated_gives_what_the_function_returns():
    here = os.getpid()
    assert isolated(lambda: dict(pid=os.getpid()), 'x.mat')['pid'] != here


def hang_up():
    os.kill(os.getpid(), signal.SIGSEGV)


def hoard():
    return len(bytes(3 << 30))


def refuse():
    raise DataError('x.mat has no variable')


def stumble():
    raise KeyError('__header__\nand more')


@pytest.mark.parametrize('function, says', [(hang_up, 'x.mat is damaged: the process that read it died'), (hoard, 'x.mat cannot be read'),
                                            (refuse, 'x.mat has no variable'), (stumble, 'x.mat cannot be read'),
                                            (lambda: os._exit(0), 'x.mat is damaged')])
def test_isolated_survives_what_a_file_does_to_its_reader(function, says):
    with pytest.raises(DataError, match=says) as error:
        isolated(function, 'x.mat', memory=1 << 30)
    assert '\n' not in str(error.value)


def test_one_worker_is_a_process_too_where_files_may_end_it():
    assert os.getpid() not in parallel_map(lambda x: os.getpid(), [1, 2], 1, apart=True)
    assert list(parallel_map(lambda x: -x, [1, 2], 1, apart=True)) == [-1, -2]
    with pytest.raises(DataError, match='a worker process was killed'):
        list(parallel_map(lambda x: os._exit(1), [1], 1, apart=True))
