"""Figures and one page from nvl72sim's result files (.h5), and from nothing else.

    PYTHONPATH=results/plotting /usr/bin/python3 -m nvl72plots run.h5 -o figures
"""
