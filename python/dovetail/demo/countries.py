"""The countries that the demo knows, and their figures.

Populations are the United Nations' estimates for the middle of 2024 (World Population Prospects 2024), rounded to
100,000. Areas are total areas with inland waters, rounded to 1,000 square kilometres.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["FIGURES", "Country", "Figures"]


class Country(StrEnum):
    """A country by its English name, or the short name that models prefer."""

    ALGERIA = "Algeria"
    ANGOLA = "Angola"
    ARGENTINA = "Argentina"
    AUSTRALIA = "Australia"
    AUSTRIA = "Austria"
    BANGLADESH = "Bangladesh"
    BELGIUM = "Belgium"
    BOLIVIA = "Bolivia"
    BRAZIL = "Brazil"
    CANADA = "Canada"
    CHILE = "Chile"
    CHINA = "China"
    COLOMBIA = "Colombia"
    CUBA = "Cuba"
    CZECHIA = "Czechia"
    DENMARK = "Denmark"
    ECUADOR = "Ecuador"
    EGYPT = "Egypt"
    ETHIOPIA = "Ethiopia"
    FINLAND = "Finland"
    FRANCE = "France"
    GERMANY = "Germany"
    GHANA = "Ghana"
    GREECE = "Greece"
    HUNGARY = "Hungary"
    ICELAND = "Iceland"
    INDIA = "India"
    INDONESIA = "Indonesia"
    IRAN = "Iran"
    IRELAND = "Ireland"
    ITALY = "Italy"
    JAPAN = "Japan"
    JORDAN = "Jordan"
    KENYA = "Kenya"
    LAOS = "Laos"
    MALAYSIA = "Malaysia"
    MEXICO = "Mexico"
    MONGOLIA = "Mongolia"
    MOROCCO = "Morocco"
    NEPAL = "Nepal"
    NETHERLANDS = "Netherlands"
    NEW_ZEALAND = "New Zealand"
    NIGERIA = "Nigeria"
    NORWAY = "Norway"
    PAKISTAN = "Pakistan"
    PERU = "Peru"
    PHILIPPINES = "Philippines"
    POLAND = "Poland"
    PORTUGAL = "Portugal"
    ROMANIA = "Romania"
    RUSSIA = "Russia"
    SAUDI_ARABIA = "Saudi Arabia"
    SOUTH_AFRICA = "South Africa"
    SOUTH_KOREA = "South Korea"
    SPAIN = "Spain"
    SWEDEN = "Sweden"
    SWITZERLAND = "Switzerland"
    THAILAND = "Thailand"
    TUNISIA = "Tunisia"
    TURKEY = "Turkey"
    UKRAINE = "Ukraine"
    UNITED_KINGDOM = "United Kingdom"
    UNITED_STATES = "United States"
    URUGUAY = "Uruguay"
    VIETNAM = "Vietnam"
    YEMEN = "Yemen"
    UK = "UK"
    USA = "USA"


class Figures(NamedTuple):
    """What is known about a country."""

    population: int
    area: int


def _figures(millions: float, thousand_square_kilometres: int) -> Figures:
    return Figures(round(millions * 1_000_000), thousand_square_kilometres * 1000)


FIGURES: Final = {
    Country.ALGERIA: _figures(46.8, 2382),
    Country.ANGOLA: _figures(37.9, 1247),
    Country.ARGENTINA: _figures(45.7, 2780),
    Country.AUSTRALIA: _figures(26.7, 7692),
    Country.AUSTRIA: _figures(9.1, 84),
    Country.BANGLADESH: _figures(173.6, 148),
    Country.BELGIUM: _figures(11.7, 31),
    Country.BOLIVIA: _figures(12.4, 1099),
    Country.BRAZIL: _figures(212.0, 8510),
    Country.CANADA: _figures(39.7, 9985),
    Country.CHILE: _figures(19.8, 756),
    Country.CHINA: _figures(1419.3, 9597),
    Country.COLOMBIA: _figures(52.9, 1142),
    Country.CUBA: _figures(11.0, 110),
    Country.CZECHIA: _figures(10.7, 79),
    Country.DENMARK: _figures(6.0, 43),
    Country.ECUADOR: _figures(18.1, 257),
    Country.EGYPT: _figures(116.5, 1002),
    Country.ETHIOPIA: _figures(132.1, 1104),
    Country.FINLAND: _figures(5.6, 338),
    Country.FRANCE: _figures(66.5, 552),
    Country.GERMANY: _figures(84.6, 358),
    Country.GHANA: _figures(34.4, 239),
    Country.GREECE: _figures(10.0, 132),
    Country.HUNGARY: _figures(9.7, 93),
    Country.ICELAND: _figures(0.4, 103),
    Country.INDIA: _figures(1450.9, 3287),
    Country.INDONESIA: _figures(283.5, 1905),
    Country.IRAN: _figures(91.6, 1648),
    Country.IRELAND: _figures(5.3, 70),
    Country.ITALY: _figures(59.3, 302),
    Country.JAPAN: _figures(123.8, 378),
    Country.JORDAN: _figures(11.6, 89),
    Country.KENYA: _figures(56.4, 580),
    Country.LAOS: _figures(7.8, 237),
    Country.MALAYSIA: _figures(35.6, 330),
    Country.MEXICO: _figures(130.9, 1964),
    Country.MONGOLIA: _figures(3.5, 1564),
    Country.MOROCCO: _figures(38.1, 447),
    Country.NEPAL: _figures(29.7, 147),
    Country.NETHERLANDS: _figures(18.2, 42),
    Country.NEW_ZEALAND: _figures(5.2, 268),
    Country.NIGERIA: _figures(232.7, 924),
    Country.NORWAY: _figures(5.6, 385),
    Country.PAKISTAN: _figures(251.3, 796),
    Country.PERU: _figures(34.2, 1285),
    Country.PHILIPPINES: _figures(115.8, 300),
    Country.POLAND: _figures(38.5, 313),
    Country.PORTUGAL: _figures(10.4, 92),
    Country.ROMANIA: _figures(19.0, 238),
    Country.RUSSIA: _figures(144.8, 17098),
    Country.SAUDI_ARABIA: _figures(34.0, 2150),
    Country.SOUTH_AFRICA: _figures(64.0, 1221),
    Country.SOUTH_KOREA: _figures(51.7, 100),
    Country.SPAIN: _figures(47.9, 506),
    Country.SWEDEN: _figures(10.6, 450),
    Country.SWITZERLAND: _figures(8.9, 41),
    Country.THAILAND: _figures(71.7, 513),
    Country.TUNISIA: _figures(12.3, 164),
    Country.TURKEY: _figures(87.5, 784),
    Country.UKRAINE: _figures(37.9, 604),
    Country.UNITED_KINGDOM: _figures(69.1, 244),
    Country.UNITED_STATES: _figures(345.4, 9834),
    Country.URUGUAY: _figures(3.4, 176),
    Country.VIETNAM: _figures(101.0, 331),
    Country.YEMEN: _figures(40.6, 528),
    Country.UK: _figures(69.1, 244),
    Country.USA: _figures(345.4, 9834),
}
