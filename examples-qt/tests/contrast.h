#ifndef CONTRAST_H
#define CONTRAST_H

// Which texts in a window can be read.

#include <QtCore/QHash>
#include <QtGui/QColor>
#include <QtGui/QImage>
#include <QtQuick/QQuickItem>

#include <algorithm>
#include <cmath>

// The relative luminance of WCAG 2.
inline double luminance(const QColor &color)
{
    const auto linear = [](double part) { return part <= 0.04045 ? part / 12.92 : std::pow((part + 0.055) / 1.055, 2.4); };
    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF());
}

inline double contrast(const QColor &a, const QColor &b)
{
    const double x = luminance(a);
    const double y = luminance(b);
    return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

// What is seen of a colour in front of another one.
inline QColor over(const QColor &color, double opacity, const QColor &behind)
{
    const double alpha = color.alphaF() * opacity;
    const auto mixed = [alpha](double front, double back) { return front * alpha + back * (1 - alpha); };
    return QColor::fromRgbF(mixed(color.redF(), behind.redF()), mixed(color.greenF(), behind.greenF()),
                            mixed(color.blueF(), behind.blueF()));
}

// What most pixels of an area are.
inline QColor mostOf(const QImage &image, const QRect &area)
{
    QHash<QRgb, int> counts;
    for (int y = area.top(); y <= area.bottom(); ++y) {
        for (int x = area.left(); x <= area.right(); ++x)
            ++counts[image.pixel(x, y)];
    }
    QRgb most = 0;
    for (auto count = counts.cbegin(); count != counts.cend(); ++count) {
        if (count.value() > counts.value(most))
            most = count.key();
    }
    return QColor::fromRgb(most);
}

// Calls a function with each text that is seen, where it is seen, and how opaque it is.
template<typename Function>
void eachText(QQuickItem *item, QRectF seen, double opacity, const Function &function)
{
    if (!item->isVisible() || item->width() <= 0)
        return;
    const QRectF area = item->mapRectToScene(item->boundingRect()) & seen;
    opacity *= item->opacity();
    const bool isText = item->inherits("QQuickText") || item->inherits("QQuickTextInput");
    if (isText && !item->property("text").toString().isEmpty() && area.height() > 8)
        function(item, area.toAlignedRect(), opacity);
    const QList<QQuickItem *> children = item->childItems();
    for (QQuickItem *child : children)
        eachText(child, item->clip() ? area : seen, opacity, function);
}

#endif // CONTRAST_H
